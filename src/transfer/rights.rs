//! The rights that an exported file was made with: whoever fetches it later must still have them.

use super::persons;
use super::targets::TransferSubject;
use crate::crm::resources::CONTACT;
use crate::kernel::ctx::Ctx;
use crate::kernel::error::{AppError, AppResult};
use crate::kernel::permission::{Grants, Scope};
use crate::platform::records::{Resource, store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What a file holds was readable by these rights; no less will do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rights {
    /// Each permission with the widest scope in which it was used.
    grants: Grants,
    /// The teams that its maker belonged to meanwhile; the nil id for none.
    teams: BTreeSet<Uuid>,
}

impl Rights {
    /// Notes what the caller may read of these columns now.
    pub fn note(&mut self, ctx: &Ctx, subject: TransferSubject, columns: &[String]) {
        let resource = subject.resource();
        self.note_one(ctx, &resource.read_permission());
        for column in columns {
            match column.split_once('.') {
                Some(("custom", _)) => {}
                Some((_, member)) if persons::is_column(resource, column) => {
                    self.note_one(ctx, &CONTACT.read_permission());
                    self.note_member(ctx, &CONTACT, member);
                }
                Some((relation, member)) => {
                    let Some(target) = store::related(resource, relation) else {
                        continue;
                    };
                    self.note_one(ctx, &target.read_permission());
                    self.note_member(ctx, target, member);
                }
                None => self.note_member(ctx, resource, column),
            }
        }
        self.teams.insert(ctx.principal.team.unwrap_or_default());
    }

    fn note_member(&mut self, ctx: &Ctx, resource: &Resource, member: &str) {
        if let Some(permission) = resource.member(member).and_then(|member| member.sensitive) {
            self.note_one(ctx, permission);
        }
    }

    fn note_one(&mut self, ctx: &Ctx, permission: &str) {
        if let Some(scope) = ctx.principal.grants.get(permission) {
            let widest = self.grants.entry(permission.to_owned()).or_insert(*scope);
            *widest = (*widest).max(*scope);
        }
    }

    /// # Errors
    /// `forbidden` when the caller's rights are narrower by now, or reach over another team.
    pub fn require(&self, ctx: &Ctx) -> AppResult<()> {
        let team = ctx.principal.team.unwrap_or_default();
        let is_same_team = self.teams.iter().all(|known| *known == team);
        for (permission, was) in &self.grants {
            let now = ctx.principal.grants.get(permission);
            let is_enough = now.is_some_and(|now| match was {
                Scope::Own | Scope::All => now >= was,
                Scope::Team | Scope::TeamTree => *now == Scope::All || (now >= was && is_same_team),
            });
            if !is_enough {
                return Err(AppError::forbidden(permission));
            }
        }
        Ok(())
    }
}
