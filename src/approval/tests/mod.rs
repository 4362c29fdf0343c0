//! The rules of room 6, told as sentences. The company: 李 sells in the team of 赵, whose leader above is 刘, the
//! general manager; 孙 and 周 are legal; 钱 and 吴 administrate.

mod content;
mod deciding;
mod properties;
mod publishing;
mod seating;
mod staffing;

use super::definition::*;
use super::facts::Conditions;
use super::people::{People, Person, Team};
use super::refusal::Refusal;
use super::rules::{self, Outcome, Setting};
use super::seating::Parties;
use super::state::{Decision, RequestState, State, Step, StepState};
use crate::kernel::expression::{Kind, Vocabulary};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::cell::Cell;
use uuid::Uuid;

const LI: Uuid = Uuid::from_u128(1);
const ZHAO: Uuid = Uuid::from_u128(2);
const LIU: Uuid = Uuid::from_u128(3);
const SUN: Uuid = Uuid::from_u128(4);
const ZHOU: Uuid = Uuid::from_u128(5);
const WANG: Uuid = Uuid::from_u128(6);
const QIAN: Uuid = Uuid::from_u128(8);
const WU: Uuid = Uuid::from_u128(9);

const COMPANY: Uuid = Uuid::from_u128(100);
const SALES: Uuid = Uuid::from_u128(101);

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn person(id: Uuid, team: Uuid, roles: &[&str]) -> Person {
    Person {
        id,
        is_active: true,
        team_id: Some(team),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..Person::default()
    }
}

fn team(id: Uuid, parent_id: Option<Uuid>, leader: Uuid) -> Team {
    Team {
        id,
        parent_id,
        leader_id: Some(leader),
    }
}

/// The people before anything happens to them.
fn staff() -> Vec<Person> {
    vec![
        person(LI, SALES, &["sales_representative"]),
        person(ZHAO, SALES, &["sales_lead"]),
        person(LIU, COMPANY, &["general_manager"]),
        person(SUN, COMPANY, &["legal"]),
        person(ZHOU, COMPANY, &["legal"]),
        person(WANG, SALES, &["sales_representative"]),
        person(QIAN, COMPANY, &["administrator"]),
        person(WU, COMPANY, &["administrator"]),
    ]
}

fn company_of(staff: Vec<Person>) -> People {
    People::new(
        staff,
        [team(COMPANY, None, LIU), team(SALES, Some(COMPANY), ZHAO)],
    )
}

fn company() -> People {
    company_of(staff())
}

/// The company after something happened to one person.
fn company_where(id: Uuid, change: impl Fn(&mut Person)) -> People {
    changed(staff(), id, change)
}

fn changed(mut staff: Vec<Person>, id: Uuid, change: impl Fn(&mut Person)) -> People {
    staff.iter_mut().filter(|person| person.id == id).for_each(change);
    company_of(staff)
}

fn deactivated(person: &mut Person) {
    person.is_active = false;
}

fn away_with(delegate: Uuid) -> impl Fn(&mut Person) {
    move |person| {
        person.away_from = Some(instant("2024-03-01T00:00:00Z"));
        person.away_until = Some(instant("2024-04-01T00:00:00Z"));
        person.delegate_id = Some(delegate);
    }
}

fn users(ids: &[Uuid]) -> Approver {
    Approver::Users {
        user_ids: ids.to_vec(),
    }
}

fn role(key: &str) -> Approver {
    Approver::Role { role: key.to_owned() }
}

fn leader(levels_up: u32) -> Approver {
    Approver::Leader {
        of: Party::Owner,
        levels_up,
    }
}

fn step(key: &str, position: i32, approvers: Vec<Approver>) -> ProcessStep {
    ProcessStep {
        key: key.to_owned(),
        name: key.to_owned(),
        position,
        approvers,
        ..ProcessStep::fallback()
    }
}

fn all(step: ProcessStep) -> ProcessStep {
    ProcessStep {
        mode: Mode::All,
        ..step
    }
}

fn quorum(count: i32, step: ProcessStep) -> ProcessStep {
    ProcessStep {
        mode: Mode::Quorum,
        quorum: Some(count),
        ..step
    }
}

fn when(condition: &str, step: ProcessStep) -> ProcessStep {
    ProcessStep {
        condition: Some(condition.to_owned()),
        ..step
    }
}

fn process(steps: Vec<ProcessStep>) -> ProcessDocument {
    ProcessDocument {
        key: "deal".to_owned(),
        name: "Deal".to_owned(),
        subject_kind: SubjectKind::Opportunity,
        content: vec!["amount".to_owned()],
        may_requester_decide: false,
        may_owner_decide: false,
        steps,
    }
}

fn contract_approval() -> ProcessDocument {
    super::shipped::processes().unwrap().remove(0)
}

fn vocabulary() -> Vocabulary {
    Vocabulary::new()
        .with("amount", Kind::Decimal)
        .with("currency", Kind::Text)
        .with("kind", Kind::Text)
}

fn amount(text: &str) -> Value {
    json!({ "amount": text, "currency": "CNY" })
}

const BY_LI: Parties = Parties {
    requester_id: LI,
    owner_id: Some(LI),
};

/// A request as it goes on, checked against its own record after each act.
struct Case {
    process: ProcessDocument,
    people: People,
    now: DateTime<Utc>,
    parties: Parties,
    state: State,
    acts: Vec<super::state::Act>,
    last_id: Cell<u128>,
}

impl Case {
    fn asked(process: ProcessDocument, people: People, facts: &Value) -> Result<Case, Refusal> {
        Case::asked_by(BY_LI, process, people, facts)
    }

    fn asked_by(
        parties: Parties,
        process: ProcessDocument,
        people: People,
        facts: &Value,
    ) -> Result<Case, Refusal> {
        let mut case = Case {
            process,
            people,
            now: instant("2024-03-13T09:00:00Z"),
            parties,
            state: State::planned(parties, Vec::new()),
            acts: Vec::new(),
            last_id: Cell::new(1_000),
        };
        case.run(|_, setting| {
            let vocabulary = vocabulary();
            let conditions = Conditions {
                vocabulary: &vocabulary,
                facts,
            };
            rules::request(setting, parties, conditions, None)
        })?;
        Ok(case)
    }

    /// 李 asks for it with these steps, at an amount that matters to none.
    fn of(steps: Vec<ProcessStep>) -> Case {
        Case::asked(process(steps), company(), &amount("1.00")).unwrap()
    }

    fn run(
        &mut self,
        rule: impl FnOnce(&State, Setting<'_>) -> Result<Outcome, Refusal>,
    ) -> Result<(), Refusal> {
        let new_id = || {
            self.last_id.set(self.last_id.get() + 1);
            Uuid::from_u128(self.last_id.get())
        };
        let setting = Setting {
            process: &self.process,
            people: &self.people,
            now: self.now,
            new_id: &new_id,
        };
        let outcome = rule(&self.state, setting)?;
        self.acts.extend(outcome.acts);
        self.state = outcome.state;
        assert_eq!(self.replayed(), self.state);
        Ok(())
    }

    fn replayed(&self) -> State {
        super::state::replay(&self.process, self.parties, &self.state.steps, &self.acts)
    }

    fn decide(&mut self, who: Uuid, decision: Decision) -> Result<(), Refusal> {
        self.run(|state, setting| rules::decide(state, setting, who, None, decision, None))
    }

    fn decide_in(&mut self, key: &str, who: Uuid, decision: Decision) -> Result<(), Refusal> {
        let step = self.step(key).id;
        self.run(|state, setting| rules::decide(state, setting, who, Some(step), decision, None))
    }

    fn approve(&mut self, who: Uuid) -> Result<(), Refusal> {
        self.decide(who, Decision::Approve)
    }

    fn reject(&mut self, who: Uuid) -> Result<(), Refusal> {
        self.decide(who, Decision::Reject)
    }

    fn delegate(&mut self, who: Uuid, to: Uuid) -> Result<(), Refusal> {
        self.run(|state, setting| rules::delegate(state, setting, who, None, to, None))
    }

    fn add(&mut self, who: Uuid, to: Uuid) -> Result<(), Refusal> {
        self.run(|state, setting| rules::add_approver(state, setting, who, None, to, None))
    }

    fn replace(&mut self, gone: Uuid, successor: Option<Uuid>) {
        self.run(|state, setting| Ok(rules::replace(state, setting, gone, successor)))
            .unwrap();
    }

    fn escalate(&mut self, key: &str) -> Result<(), Refusal> {
        let step = self.step(key).id;
        self.run(|state, setting| rules::escalate(state, setting, step))
    }

    fn later(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }

    fn step(&self, key: &str) -> &Step {
        let found = self.state.steps.iter().find(|step| step.key == key);
        found.unwrap()
    }

    fn step_state(&self, key: &str) -> StepState {
        self.step(key).state
    }

    fn request_state(&self) -> RequestState {
        self.state.state
    }

    /// Who can decide now, in the order in which they were asked.
    fn waiting_for(&self) -> Vec<Uuid> {
        self.state.waiting_seats().map(|seat| seat.user_id).collect()
    }
}
