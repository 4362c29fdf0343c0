//! What scoring many leads anew did, or would do: counted as it goes, so that a job can stop and go on.

use super::apply::Moved;
use super::rules::{Limits, points_text};
use crate::crm::lead_states::Status;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use uuid::Uuid;

/// How many of those that moved most are named.
const MOST_MOVERS: usize = 20;
/// Points of one step of the distribution.
const STEP: i64 = 10;

/// The count so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    pub leads: i64,
    changed: i64,
    rose_over_marketing: i64,
    fell_below_marketing: i64,
    rose_over_sales: i64,
    fell_below_sales: i64,
    became_marketing_qualified: i64,
    became_sales_qualified: i64,
    put_to_review: i64,
    /// Step of the distribution to how many were in it before and after; unscored ones are in none.
    distribution: BTreeMap<i64, (i64, i64)>,
    movers: Vec<Mover>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mover {
    lead_id: Uuid,
    before: Option<Decimal>,
    after: Option<Decimal>,
}

impl Mover {
    fn distance(&self) -> Decimal {
        (self.after.unwrap_or_default() - self.before.unwrap_or_default()).abs()
    }
}

impl Tally {
    /// Takes in what became of some leads. Against `limits`, those of the model that they are scored by now.
    pub fn count(&mut self, limits: &Limits, moved: &[Moved]) {
        for lead in moved {
            self.count_one(limits, lead);
        }
        self.movers
            .sort_by_key(|mover| (Reverse(mover.distance()), mover.lead_id));
        self.movers.truncate(MOST_MOVERS);
    }

    fn count_one(&mut self, limits: &Limits, lead: &Moved) {
        self.leads += 1;
        let crossing = |limit: Decimal| {
            let reaches = |score: Option<Decimal>| score.is_some_and(|score| score >= limit);
            (reaches(lead.before), reaches(lead.after))
        };
        match crossing(limits.marketing_qualified) {
            (false, true) => self.rose_over_marketing += 1,
            (true, false) => self.fell_below_marketing += 1,
            _ => {}
        }
        match crossing(limits.sales_qualified) {
            (false, true) => self.rose_over_sales += 1,
            (true, false) => self.fell_below_sales += 1,
            _ => {}
        }
        if lead.status != lead.status_before {
            match lead.status {
                Status::MarketingQualified => self.became_marketing_qualified += 1,
                Status::SalesQualified => self.became_sales_qualified += 1,
                Status::New
                | Status::Working
                | Status::Nurturing
                | Status::Disqualified
                | Status::Converted => {}
            }
        }
        self.put_to_review += i64::from(lead.opens_review);
        if let Some(before) = lead.before {
            self.distribution.entry(step_of(before)).or_default().0 += 1;
        }
        if let Some(after) = lead.after {
            self.distribution.entry(step_of(after)).or_default().1 += 1;
        }
        if lead.before != lead.after {
            self.changed += 1;
            self.movers.push(Mover {
                lead_id: lead.lead_id,
                before: lead.before,
                after: lead.after,
            });
        }
    }

    /// The report, as a job shows it.
    pub fn report(&self) -> Value {
        let text = |score: Option<Decimal>| score.map(points_text);
        let distribution = self.distribution.iter().map(|(step, (before, after))| {
            json!({ "from": step.to_string(), "below": (step + STEP).to_string(), "before": before, "after": after })
        });
        let movers = self.movers.iter().map(|mover| {
            json!({ "lead_id": mover.lead_id, "before": text(mover.before), "after": text(mover.after) })
        });
        json!({
            "leads": self.leads,
            "changed": self.changed,
            "crossings": {
                "marketing_qualified": { "rose": self.rose_over_marketing, "fell": self.fell_below_marketing },
                "sales_qualified": { "rose": self.rose_over_sales, "fell": self.fell_below_sales },
            },
            "steps": {
                "marketing_qualified": self.became_marketing_qualified,
                "sales_qualified": self.became_sales_qualified,
                "put_to_review": self.put_to_review,
            },
            "distribution": distribution.collect::<Vec<_>>(),
            "movers": movers.collect::<Vec<_>>(),
        })
    }
}

/// The lower end of the step in which a score lies.
fn step_of(score: Decimal) -> i64 {
    let step = Decimal::from(STEP);
    (score / step).floor().to_i64().unwrap_or_default() * STEP
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal_macros::dec;

    const LIMITS: Limits = Limits {
        marketing_qualified: dec!(30),
        sales_qualified: dec!(60),
        passes_automatically: false,
    };

    fn moved(before: Option<Decimal>, after: Decimal, from: Status, to: Status) -> Moved {
        Moved {
            lead_id: Uuid::now_v7(),
            before,
            after: Some(after),
            status_before: from,
            status: to,
            opens_review: after >= dec!(60),
        }
    }

    #[test]
    fn a_report_counts_crossings_steps_and_who_moved_most() {
        let leads = [
            moved(None, dec!(61), Status::New, Status::MarketingQualified),
            moved(
                Some(dec!(35)),
                dec!(-0.5),
                Status::MarketingQualified,
                Status::MarketingQualified,
            ),
            moved(Some(dec!(12)), dec!(12), Status::Working, Status::Working),
        ];
        let mut tally = Tally::default();
        tally.count(&LIMITS, &leads[..1]);
        tally.count(&LIMITS, &leads[1..]);
        let report = tally.report();
        assert_eq!((&report["leads"], &report["changed"]), (&json!(3), &json!(2)));
        assert_eq!(
            report["crossings"]["marketing_qualified"],
            json!({ "rose": 1, "fell": 1 })
        );
        assert_eq!(
            report["crossings"]["sales_qualified"],
            json!({ "rose": 1, "fell": 0 })
        );
        assert_eq!(
            report["steps"],
            json!({ "marketing_qualified": 1, "sales_qualified": 0, "put_to_review": 1 })
        );
        assert_eq!(
            report["distribution"],
            json!([
                { "from": "-10", "below": "0", "before": 0, "after": 1 },
                { "from": "10", "below": "20", "before": 1, "after": 1 },
                { "from": "30", "below": "40", "before": 1, "after": 0 },
                { "from": "60", "below": "70", "before": 0, "after": 1 },
            ])
        );
        assert_eq!(report["movers"][0]["lead_id"], json!(leads[0].lead_id));
        assert_eq!(report["movers"][1]["after"], "-0.5");
    }

    #[test]
    fn only_those_that_moved_most_are_kept() {
        let mut tally = Tally::default();
        let leads = (0..50).map(|n| moved(Some(dec!(0)), Decimal::from(n), Status::New, Status::New));
        tally.count(&LIMITS, &leads.collect::<Vec<_>>());
        let report = tally.report();
        let movers = report["movers"].as_array().unwrap();
        assert_eq!((movers.len(), &movers[0]["after"]), (MOST_MOVERS, &json!("49")));
    }
}
