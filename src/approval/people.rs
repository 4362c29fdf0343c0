//! The company as approvals see it: who is there, who leads whom, who stands in for whom. Plain data.

use crate::kernel::permission::ADMINISTRATOR;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    pub id: Uuid,
    pub is_active: bool,
    pub team_id: Option<Uuid>,
    /// The keys of their roles.
    pub roles: BTreeSet<String>,
    /// An absence begins here, inclusive; open to the past when only its end is known.
    pub away_from: Option<DateTime<Utc>>,
    /// An absence ends here, exclusive; open to the future when only its beginning is known.
    pub away_until: Option<DateTime<Utc>>,
    /// Whether an absence that was entered by itself covers the present.
    pub is_absent: bool,
    /// Who stands in during the absence.
    pub delegate_id: Option<Uuid>,
    /// Of somebody deactivated: who took over from them last.
    pub successor_id: Option<Uuid>,
}

/// A team.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Team {
    pub id: Uuid,
    pub parent_id: Option<Uuid>,
    pub leader_id: Option<Uuid>,
}

/// The people and teams of one company.
#[derive(Debug, Clone, Default)]
pub struct People {
    persons: BTreeMap<Uuid, Person>,
    teams: BTreeMap<Uuid, Team>,
}

impl Person {
    #[must_use]
    pub fn is_away(&self, now: DateTime<Utc>) -> bool {
        let has_absence = self.away_from.is_some() || self.away_until.is_some();
        let is_away = has_absence
            && self.away_from.is_none_or(|from| from <= now)
            && self.away_until.is_none_or(|until| now < until);
        is_away || self.is_absent
    }
}

impl People {
    #[must_use]
    pub fn new(persons: impl IntoIterator<Item = Person>, teams: impl IntoIterator<Item = Team>) -> People {
        People {
            persons: persons.into_iter().map(|person| (person.id, person)).collect(),
            teams: teams.into_iter().map(|team| (team.id, team)).collect(),
        }
    }

    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Person> {
        self.persons.get(&id)
    }

    #[must_use]
    pub fn is_active(&self, id: Uuid) -> bool {
        self.get(id).is_some_and(|person| person.is_active)
    }

    #[must_use]
    pub fn is_away(&self, id: Uuid, now: DateTime<Utc>) -> bool {
        self.get(id).is_some_and(|person| person.is_away(now))
    }

    #[must_use]
    pub fn is_administrator(&self, id: Uuid) -> bool {
        self.get(id)
            .is_some_and(|person| person.is_active && person.roles.contains(ADMINISTRATOR))
    }

    /// Everybody who is active, by id.
    pub fn active(&self) -> impl Iterator<Item = Uuid> {
        self.persons
            .values()
            .filter(|person| person.is_active)
            .map(|person| person.id)
    }

    /// The active people with a role, by id.
    #[must_use]
    pub fn with_role(&self, role: &str) -> Vec<Uuid> {
        self.persons
            .values()
            .filter(|person| person.is_active && person.roles.contains(role))
            .map(|person| person.id)
            .collect()
    }

    /// A team and all above it, from below; each once, even if the tree were bent into a ring.
    #[must_use]
    pub fn upwards(&self, from: Option<Uuid>) -> Vec<&Team> {
        let mut line: Vec<&Team> = Vec::new();
        let mut next = from;
        while let Some(team) = next.and_then(|id| self.teams.get(&id)) {
            if line.iter().any(|known| known.id == team.id) {
                break;
            }
            line.push(team);
            next = team.parent_id;
        }
        line
    }

    /// Those who took over from a person, one after the other; each once, even if they took over from one another.
    #[must_use]
    pub fn successors(&self, of: Uuid) -> Vec<Uuid> {
        let mut line = Vec::new();
        let mut next = self.get(of).and_then(|person| person.successor_id);
        while let Some(person) = next.filter(|person| !line.contains(person)) {
            line.push(person);
            next = self.get(person).and_then(|person| person.successor_id);
        }
        line
    }

    /// The teams of a person, from below.
    #[must_use]
    pub fn teams_above(&self, person: Uuid) -> Vec<&Team> {
        self.upwards(self.get(person).and_then(|person| person.team_id))
    }
}
