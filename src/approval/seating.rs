//! Who sits in a step.
//!
//! The people whom the process names; an absent one is represented by whoever stands in for them. Nobody sits
//! twice, nobody deactivated sits but others in their place, and whoever requested or owns the subject does not sit unless the process
//! says so: neither in person, nor for an absent approver, nor through somebody standing in for them. Where
//! that leaves too few, the next leader up is asked, then the administrators; a step is never skipped for want
//! of people, and one where everybody decides has as many voices as it names people.

use super::definition::{Approver, Escalation, FALLBACK_STEP, Mode, Party, ProcessDocument, ProcessStep};
use super::people::{People, Team};
use crate::kernel::permission::ADMINISTRATOR;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a person sits in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, strum::IntoStaticStr, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Origin {
    /// The process names them.
    Process,
    /// They stand in for someone absent, or were asked to decide in someone's place.
    Delegation,
    /// An approver added them.
    Added,
    /// The deadline passed.
    Escalation,
    /// They took the seat of someone who was deactivated.
    Replacement,
    /// Nobody whom the process names may decide, or not as many as it asks for.
    Fallback,
}

/// Somebody who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub user_id: Uuid,
    pub origin: Origin,
    /// The absent person for whom they stand in.
    pub for_user_id: Option<Uuid>,
}

/// Who asked, and whose subject it is; frozen with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parties {
    pub requester_id: Uuid,
    pub owner_id: Option<Uuid>,
}

impl Parties {
    /// Those who may not sit in any step of this process.
    #[must_use]
    pub fn excluded(&self, process: &ProcessDocument) -> BTreeSet<Uuid> {
        let requester = (!process.may_requester_decide).then_some(self.requester_id);
        let owner = self.owner_id.filter(|_| !process.may_owner_decide);
        // One who is both and may decide only as one of them may not decide.
        requester.into_iter().chain(owner).collect()
    }

    fn person(&self, party: Party) -> Uuid {
        match party {
            Party::Requester => self.requester_id,
            Party::Owner => self.owner_id.unwrap_or(self.requester_id),
        }
    }
}

/// Everything that decides who may sit, at one instant.
#[derive(Debug)]
pub struct Bench<'a> {
    people: &'a People,
    parties: Parties,
    excluded: BTreeSet<Uuid>,
    now: DateTime<Utc>,
}

/// The people whom a step names in person, in its order.
fn in_person(step: &ProcessStep) -> impl Iterator<Item = Uuid> {
    let named = step.approvers.iter().filter_map(|approver| match approver {
        Approver::Users { user_ids } => Some(user_ids),
        _ => None,
    });
    named.flatten().copied()
}

/// Who is asked in a step that opens now; empty when nobody at all may decide.
#[must_use]
pub fn seats(
    process: &ProcessDocument,
    step: &ProcessStep,
    parties: Parties,
    people: &People,
    now: DateTime<Utc>,
) -> Vec<Asked> {
    Bench::new(process, parties, people, now).seats(step)
}

impl<'a> Bench<'a> {
    #[must_use]
    pub fn new(
        process: &ProcessDocument,
        parties: Parties,
        people: &'a People,
        now: DateTime<Utc>,
    ) -> Bench<'a> {
        Bench {
            people,
            parties,
            excluded: parties.excluded(process),
            now,
        }
    }

    /// Whether separation of duties keeps a person out.
    #[must_use]
    pub fn is_excluded(&self, person: Uuid) -> bool {
        self.excluded.contains(&person)
    }

    /// Who is asked in a step that opens now.
    #[must_use]
    pub fn seats(&self, step: &ProcessStep) -> Vec<Asked> {
        let origin = if step.key == FALLBACK_STEP {
            Origin::Fallback
        } else {
            Origin::Process
        };
        let mut asked = Vec::new();
        for person in self.named(step) {
            self.seat(&mut asked, &BTreeSet::new(), person, origin);
        }
        for person in self.departed(step) {
            self.seat_in_place_of(&mut asked, step, person);
        }
        self.fill_voices(step, &mut asked);
        self.top_up(step, &mut asked, &BTreeSet::new());
        asked
    }

    /// The people whom the process names in person and who were deactivated since. Roles and leads mean whoever has
    /// them now.
    fn departed(&self, step: &ProcessStep) -> Vec<Uuid> {
        let named = in_person(step);
        named.filter(|person| !self.people.is_active(*person)).collect()
    }

    /// Where every voice counts, asks somebody else for each person named in person whose seat neither they nor whoever
    /// stands in for them can fill: because separation of duties keeps them out, or because the stand-in has a seat
    /// already. An absent approver for whom nobody else is to be found is asked themselves.
    fn fill_voices(&self, step: &ProcessStep, asked: &mut Vec<Asked>) {
        if step.mode == Mode::Any {
            return;
        }
        let present = in_person(step).filter(|person| self.people.is_active(*person));
        let voices = present.collect::<BTreeSet<_>>();
        let mut heard = BTreeSet::new();
        for seat in asked.iter() {
            let whose = seat.for_user_id.filter(|person| voices.contains(person));
            heard.insert(whose.unwrap_or(seat.user_id));
        }
        let unheard = in_person(step).filter(|person| voices.contains(person) && !heard.contains(person));
        for person in unheard.collect::<BTreeSet<_>>() {
            let taken = asked.iter().map(|seat| seat.user_id).collect::<BTreeSet<_>>();
            let other = self.replacement(step, &taken, None).map(|other| Asked {
                origin: if other.for_user_id.is_some() {
                    other.origin
                } else {
                    Origin::Fallback
                },
                ..other
            });
            let themselves = || {
                let may_sit = self.may_sit(person) && !taken.contains(&person);
                may_sit.then_some(Asked {
                    user_id: person,
                    origin: Origin::Process,
                    for_user_id: None,
                })
            };
            asked.extend(other.or_else(themselves));
        }
    }

    /// Asks whoever took over from somebody deactivated; where every voice counts and no successor may sit, whoever would
    /// have taken the seat had it been theirs already.
    fn seat_in_place_of(&self, asked: &mut Vec<Asked>, step: &ProcessStep, departed: Uuid) {
        let taken = asked.iter().map(|seat| seat.user_id).collect::<BTreeSet<_>>();
        let successors = self.people.successors(departed);
        let heir = successors
            .into_iter()
            .find_map(|person| self.successor(&taken, person));
        let heir = heir.or_else(|| {
            (step.mode != Mode::Any)
                .then(|| self.replacement(step, &taken, None))
                .flatten()
        });
        asked.extend(heir);
    }

    /// Asks further people until the step has as many as it needs: leaders upwards, then administrators.
    /// `taken` are people who sit in the step already and count.
    pub fn top_up(&self, step: &ProcessStep, asked: &mut Vec<Asked>, taken: &BTreeSet<Uuid>) {
        let needed = step.needed();
        for leader in self.leaders_up(step) {
            if asked.len() + taken.len() >= needed {
                return;
            }
            self.seat(asked, taken, leader, Origin::Fallback);
        }
        if asked.len() + taken.len() >= needed {
            return;
        }
        for administrator in self.administrators() {
            let is_enough = asked.len() + taken.len() >= needed;
            if is_enough && step.mode != Mode::Any {
                return;
            }
            self.seat(asked, taken, administrator, Origin::Fallback);
        }
    }

    /// Who is asked in an open step that has too few people: whoever the process names now, then as ever. Nobody, when
    /// those who count there (`taken`) are enough.
    #[must_use]
    pub fn missing(&self, step: &ProcessStep, taken: &BTreeSet<Uuid>) -> Vec<Asked> {
        let mut asked = Vec::new();
        if taken.len() >= step.needed() {
            return asked;
        }
        for person in self.named(step) {
            self.seat(&mut asked, taken, person, Origin::Process);
        }
        self.top_up(step, &mut asked, taken);
        asked
    }

    /// Whoever takes over a seat in a step where `taken` sit already, when that can be the successor or who stands in
    /// for them.
    #[must_use]
    pub fn successor(&self, taken: &BTreeSet<Uuid>, successor: Uuid) -> Option<Asked> {
        let mut asked = Vec::new();
        self.seat(&mut asked, taken, successor, Origin::Replacement);
        asked.pop()
    }

    /// One person to take over a seat in a step where `taken` sit already: the successor if they may, then
    /// whoever the process names now, the next leader up, an administrator.
    #[must_use]
    pub fn replacement(
        &self,
        step: &ProcessStep,
        taken: &BTreeSet<Uuid>,
        successor: Option<Uuid>,
    ) -> Option<Asked> {
        let mut asked = Vec::new();
        let candidates = successor
            .into_iter()
            .chain(self.named(step))
            .chain(self.leaders_up(step))
            .chain(self.administrators());
        for person in candidates {
            self.seat(&mut asked, taken, person, Origin::Replacement);
            if !asked.is_empty() {
                break;
            }
        }
        asked.pop()
    }

    /// Adds a candidate, or whoever stands in for them, unless they may not sit or sit already.
    fn seat(&self, asked: &mut Vec<Asked>, taken: &BTreeSet<Uuid>, person: Uuid, origin: Origin) {
        if !self.may_sit(person) {
            return;
        }
        let sitter = self.stand_in(person);
        if taken.contains(&sitter) || asked.iter().any(|seat| seat.user_id == sitter) {
            return;
        }
        let stands_in = sitter != person;
        asked.push(Asked {
            user_id: sitter,
            origin: if stands_in { Origin::Delegation } else { origin },
            for_user_id: stands_in.then_some(person),
        });
    }

    /// Whether a person is there and no separation of duties keeps them out.
    #[must_use]
    pub fn may_sit(&self, person: Uuid) -> bool {
        self.people.is_active(person) && !self.is_excluded(person)
    }

    /// Who decides for a person: they themselves when present; else the first in the chain of delegates who is
    /// present. They themselves, too, when that chain breaks off, turns in a circle, or passes through somebody
    /// who may not sit.
    fn stand_in(&self, person: Uuid) -> Uuid {
        let mut chain = BTreeSet::from([person]);
        let mut sitter = person;
        while self.people.is_away(sitter, self.now) {
            let delegate = self.people.get(sitter).and_then(|away| away.delegate_id);
            match delegate {
                Some(next) if self.may_sit(next) && chain.insert(next) => sitter = next,
                Some(_) | None => return person,
            }
        }
        sitter
    }

    /// The people whom the process names, in its order.
    fn named(&self, step: &ProcessStep) -> Vec<Uuid> {
        let mut named = Vec::new();
        for approver in &step.approvers {
            match approver {
                Approver::Users { user_ids } => named.extend(user_ids),
                Approver::Role { role } => named.extend(self.people.with_role(role)),
                Approver::Leader { .. } | Approver::HeadOfTeam { .. } => {
                    named.extend(self.line_of(approver).first().and_then(|team| team.leader_id))
                }
            }
        }
        named
    }

    /// The leaders above those whom the step names; above the owner when it names no leader. A lower leader
    /// never stands in for a higher one.
    fn leaders_up(&self, step: &ProcessStep) -> Vec<Uuid> {
        let mut lines = step
            .approvers
            .iter()
            .filter(|approver| matches!(approver, Approver::Leader { .. } | Approver::HeadOfTeam { .. }))
            .map(|approver| self.line_of(approver))
            .collect::<Vec<_>>();
        if lines.is_empty() && step.key != FALLBACK_STEP {
            lines.push(self.people.teams_above(self.parties.person(Party::Owner)));
        }
        lines
            .into_iter()
            .flatten()
            .filter_map(|team| team.leader_id)
            .collect()
    }

    /// The teams whose leaders an approver means, from the one it names upwards.
    fn line_of(&self, approver: &Approver) -> Vec<&'a Team> {
        match approver {
            Approver::Leader { of, levels_up } => {
                let below = usize::try_from(levels_up.saturating_sub(1)).unwrap_or(usize::MAX);
                let line = self.people.teams_above(self.parties.person(*of));
                line.into_iter().skip(below).collect()
            }
            Approver::HeadOfTeam { team_id } => self.people.upwards(Some(*team_id)),
            Approver::Users { .. } | Approver::Role { .. } => Vec::new(),
        }
    }

    /// Those present first.
    fn administrators(&self) -> Vec<Uuid> {
        let mut administrators = self.people.with_role(ADMINISTRATOR);
        administrators.sort_by_key(|person| (self.people.is_away(*person, self.now), *person));
        administrators
    }

    /// Who is asked when the deadline of a step has passed: for each person late, the next leader above them;
    /// or a role. The administrators when that gives nobody.
    #[must_use]
    pub fn escalation(&self, escalation: &Escalation, late: &[Uuid], taken: &BTreeSet<Uuid>) -> Vec<Asked> {
        let mut asked = Vec::new();
        match escalation {
            Escalation::Role { role } => {
                for person in self.people.with_role(role) {
                    self.seat(&mut asked, taken, person, Origin::Escalation);
                }
            }
            Escalation::Leader {} => {
                for person in late {
                    self.seat_superior(&mut asked, taken, *person);
                }
            }
        }
        if asked.is_empty() {
            for person in self.administrators() {
                self.seat(&mut asked, taken, person, Origin::Escalation);
            }
        }
        // Their word alone decides, so the record must say so even where someone stands in.
        for seat in &mut asked {
            seat.origin = Origin::Escalation;
        }
        asked
    }

    fn seat_superior(&self, asked: &mut Vec<Asked>, taken: &BTreeSet<Uuid>, person: Uuid) {
        for team in self.people.teams_above(person) {
            let before = asked.len();
            let Some(leader) = team.leader_id.filter(|leader| *leader != person) else {
                continue;
            };
            if asked.iter().any(|seat| seat.user_id == leader) {
                return; // two people who are late have the same superior
            }
            self.seat(asked, taken, leader, Origin::Escalation);
            if asked.len() > before {
                return;
            }
        }
    }
}
