//! What keeps a process from being published: every fault at once, each at its place in the document.

use super::coverage::uncovered;
use super::definition::{Approver, Escalation, FALLBACK_STEP, Mode, ProcessDocument, ProcessStep};
use crate::kernel::expression::{Expression, Vocabulary, is_name};
use crate::kernel::fault::{Fault, Warning};
use crate::kernel::text::say;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const MAX_KEY: usize = 63;
const MAX_NAME: usize = 200;
const MAX_STEPS: usize = 50;
const MAX_LEVELS: u32 = 20;
const MINUTE: i64 = 60;
const YEAR: i64 = 31_536_000;
/// Most working minutes of a deadline: those of a year that is worked day and night.
const MOST_MINUTES: i64 = 525_600;
/// Most working days of a deadline.
const MOST_DAYS: i64 = 365;

/// What can be named within a member of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    Nothing,
    /// Of a document whose form is its own affair.
    Anything,
    Members(BTreeSet<String>),
}

/// What a process may refer to.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The active people.
    pub users: BTreeSet<Uuid>,
    /// The keys of the roles that are not archived.
    pub roles: BTreeSet<String>,
    /// Those of them that an active person has.
    pub staffed_roles: BTreeSet<String>,
    /// The teams that are not archived.
    pub teams: BTreeSet<Uuid>,
    /// The members of the subject's JSON that `content` may name, each with what it may name within.
    pub members: BTreeMap<String, Within>,
    /// The names that conditions may read.
    pub vocabulary: Vocabulary,
}

/// Everything that is wrong with a process, with pointers into its document; nothing when it can be published.
#[must_use]
pub fn faults(process: &ProcessDocument, known: &Known) -> Vec<Fault> {
    let mut faults = Vec::new();
    check_key(&mut faults, "/key", &process.key);
    check_name(&mut faults, "/name", &process.name);
    check_content(&mut faults, process, known);
    check_steps(&mut faults, process);
    for (index, step) in process.steps.iter().enumerate() {
        StepCheck {
            at: format!("/steps/{index}"),
            step,
            known,
            faults: &mut faults,
        }
        .run();
    }
    faults
}

/// What does not keep a process from being published, and is worth knowing all the same: roles that are asked and that
/// nobody has (`nobody`), and conditions over members that the approvals are not bound to (`not_covered`).
#[must_use]
pub fn reservations(process: &ProcessDocument, known: &Known) -> Vec<Warning> {
    let mut found = Vec::new();
    for (index, step) in process.steps.iter().enumerate() {
        let at = format!("/steps/{index}");
        for (place, approver) in step.approvers.iter().enumerate() {
            if let Approver::Role { role } = approver {
                unstaffed(&mut found, format!("{at}/approvers/{place}/role"), role, known);
            }
        }
        if let Some(Escalation::Role { role }) = &step.escalation {
            unstaffed(&mut found, format!("{at}/escalation/role"), role, known);
        }
        let condition = step.condition.as_deref();
        let condition = condition.and_then(|source| Expression::compile(source, &known.vocabulary).ok());
        let lacking = condition.map(|condition| uncovered(condition.members(), &process.content));
        if let Some(lacking) = lacking.filter(|lacking| !lacking.is_empty()) {
            found.push(not_covered(format!("{at}/condition"), &lacking));
        }
    }
    found
}

fn unstaffed(found: &mut Vec<Warning>, at: String, role: &str, known: &Known) {
    if !known.staffed_roles.contains(role) {
        let message = say(
            format!("nobody has the role `{role}`: a step that asks no others has nobody to decide"),
            format!("目前没有人员具有角色“{role}”：若步骤没有其他审批人,则无人可以审批"),
        );
        found.push(Warning::new(at, "nobody", message));
    }
}

fn not_covered(at: String, lacking: &[String]) -> Warning {
    let (en, zh) = (lacking.join(", "), lacking.join("、"));
    let message = say(
        format!(
            "reads {en}, which `content` does not name: a change there leaves a request and its approval as they are"
        ),
        format!("读取了 content 未列出的成员 {zh}：这些成员变更后,申请与审批保持不变"),
    );
    Warning::new(at, "not_covered", message)
}

fn check_key(faults: &mut Vec<Fault>, at: &str, key: &str) {
    if !is_name(key) || key.len() > MAX_KEY {
        faults.push(Fault::invalid(
            at,
            "must be lower-case letters, digits and underscores, begin with a letter, be no word of the expression language, and have at most 63 characters",
            "须以小写字母开头,只含小写字母、数字和下划线,不得为表达式保留字,且不超过63个字符",
        ));
    }
}

fn check_name(faults: &mut Vec<Fault>, at: &str, name: &str) {
    if name.trim().is_empty() {
        faults.push(Fault::required(at));
    } else if name.chars().count() > MAX_NAME {
        faults.push(Fault::out_of_range(
            at,
            "must have at most 200 characters",
            "不得超过200个字符",
        ));
    }
}

fn check_content(faults: &mut Vec<Fault>, process: &ProcessDocument, known: &Known) {
    if process.content.is_empty() {
        faults.push(Fault::invalid(
            "/content",
            "must name at least one member, or no change would ever lapse an approval",
            "至少须列出一个成员,否则任何更改都不会使审批失效",
        ));
    }
    let mut seen = BTreeSet::new();
    for (index, path) in process.content.iter().enumerate() {
        let at = format!("/content/{index}");
        if !path.split('.').all(is_name) || !is_member(path, &known.members) {
            faults.push(unknown(
                &at,
                path,
                "is no member of this subject",
                "不是该对象的成员",
            ));
        } else if !seen.insert(path) {
            faults.push(twice(&at));
        }
    }
}

fn is_member(path: &str, members: &BTreeMap<String, Within>) -> bool {
    let (head, rest) = path
        .split_once('.')
        .map_or((path, None), |(head, rest)| (head, Some(rest)));
    match (members.get(head), rest) {
        (None, _) | (Some(Within::Nothing), Some(_)) => false,
        (Some(Within::Members(known)), Some(rest)) => known.contains(rest),
        (Some(Within::Anything), Some(_)) | (Some(_), None) => true,
    }
}

fn check_steps(faults: &mut Vec<Fault>, process: &ProcessDocument) {
    if process.steps.is_empty() {
        faults.push(Fault::invalid(
            "/steps",
            "must have at least one step",
            "至少须有一个步骤",
        ));
    }
    if process.steps.len() > MAX_STEPS {
        faults.push(Fault::out_of_range(
            "/steps",
            "must have at most 50 steps",
            "步骤不得超过50个",
        ));
    }
    let mut seen = BTreeSet::new();
    for (index, step) in process.steps.iter().enumerate() {
        if !seen.insert(&step.key) {
            faults.push(twice(&format!("/steps/{index}/key")));
        }
    }
}

fn twice(at: &str) -> Fault {
    Fault::new(at, "duplicate", say("stands here twice", "重复出现"))
}

fn unknown(at: &str, what: &str, en: &str, zh: &str) -> Fault {
    Fault::new(
        at,
        "not_found",
        say(format!("`{what}` {en}"), format!("“{what}”{zh}")),
    )
}

struct StepCheck<'a> {
    at: String,
    step: &'a ProcessStep,
    known: &'a Known,
    faults: &'a mut Vec<Fault>,
}

impl StepCheck<'_> {
    fn run(mut self) {
        let key = self.place("key");
        check_key(self.faults, &key, &self.step.key);
        if self.step.key == FALLBACK_STEP {
            self.faults.push(Fault::invalid(
                key,
                "is the key of the step that stands in when no other takes part",
                "该标识保留给无步骤参与时的后备步骤",
            ));
        }
        let name = self.place("name");
        check_name(self.faults, &name, &self.step.name);
        if !(1..=1000).contains(&self.step.position) {
            self.out_of_range("position", "must be from 1 to 1000", "须在1到1000之间");
        }
        self.approvers();
        self.quorum();
        self.condition();
        self.times();
        self.escalation();
    }

    fn place(&self, member: &str) -> String {
        format!("{}/{member}", self.at)
    }

    fn out_of_range(&mut self, member: &str, en: &str, zh: &str) {
        let at = self.place(member);
        self.faults.push(Fault::out_of_range(at, en, zh));
    }

    fn approvers(&mut self) {
        if self.step.approvers.is_empty() {
            self.faults.push(Fault::invalid(
                self.place("approvers"),
                "must name at least one approver",
                "至少须指定一名审批人",
            ));
        }
        for (index, approver) in self.step.approvers.iter().enumerate() {
            let at = self.place(&format!("approvers/{index}"));
            match approver {
                Approver::Users { user_ids } => self.users(&at, user_ids),
                Approver::Role { role } => self.role(&format!("{at}/role"), role),
                Approver::Leader { levels_up, .. } => {
                    if !(1..=MAX_LEVELS).contains(levels_up) {
                        self.faults.push(Fault::out_of_range(
                            format!("{at}/levels_up"),
                            "must be from 1 to 20",
                            "须在1到20之间",
                        ));
                    }
                }
                Approver::HeadOfTeam { team_id } => {
                    if !self.known.teams.contains(team_id) {
                        self.faults.push(Fault::not_found(format!("{at}/team_id")));
                    }
                }
            }
        }
    }

    fn users(&mut self, at: &str, user_ids: &[Uuid]) {
        if user_ids.is_empty() {
            self.faults.push(Fault::invalid(
                format!("{at}/user_ids"),
                "must name at least one person",
                "至少须指定一人",
            ));
        }
        let mut seen = BTreeSet::new();
        for (index, user) in user_ids.iter().enumerate() {
            let at = format!("{at}/user_ids/{index}");
            if !self.known.users.contains(user) {
                self.faults.push(Fault::new(
                    at,
                    "not_found",
                    say("does not exist, or is deactivated", "不存在或已停用"),
                ));
            } else if !seen.insert(user) {
                self.faults.push(twice(&at));
            }
        }
    }

    fn role(&mut self, at: &str, role: &str) {
        if !self.known.roles.contains(role) {
            self.faults.push(unknown(
                at,
                role,
                "is no role of this company",
                "不是本企业的角色",
            ));
        }
    }

    fn quorum(&mut self) {
        match (self.step.mode, self.step.quorum) {
            (Mode::Any | Mode::All, None) => {}
            (Mode::Any | Mode::All, Some(_)) => self.faults.push(Fault::invalid(
                self.place("quorum"),
                "is only for the mode `quorum`",
                "仅用于 quorum 模式",
            )),
            (Mode::Quorum, None) => self.faults.push(Fault::required(self.place("quorum"))),
            (Mode::Quorum, Some(count)) => self.quorum_count(count),
        }
    }

    fn quorum_count(&mut self, count: i32) {
        let most = most_seats(self.step);
        let is_beyond = |most: usize| usize::try_from(count).is_ok_and(|count| count > most);
        if count < 1 {
            self.out_of_range("quorum", "must be at least 1", "不得小于1");
        } else if let Some(most) = most.filter(|most| is_beyond(*most)) {
            self.out_of_range(
                "quorum",
                &format!("can never be reached: the step asks at most {most} people"),
                &format!("无法达到:该步骤最多有{most}名审批人"),
            );
        }
    }

    fn condition(&mut self) {
        let Some(condition) = &self.step.condition else {
            return;
        };
        let Err(faults) = Expression::draft(condition, &self.known.vocabulary) else {
            return;
        };
        let at = self.place("condition");
        for fault in faults {
            let message = match fault.position {
                None => fault.message,
                Some(place) => say(
                    format!("{}:{}: {}", place.line, place.column, fault.message.en),
                    format!("{}:{}: {}", place.line, place.column, fault.message.zh),
                ),
            };
            self.faults.push(Fault::new(at.clone(), fault.code, message));
        }
    }

    fn times(&mut self) {
        self.deadline();
        self.reminder();
    }

    fn deadline(&mut self) {
        let step = self.step;
        let given = [
            ("deadline_seconds", step.deadline_seconds, MINUTE..=YEAR),
            (
                "deadline_working_minutes",
                step.deadline_working_minutes,
                1..=MOST_MINUTES,
            ),
            ("deadline_working_days", step.deadline_working_days, 1..=MOST_DAYS),
        ];
        let mut first = None;
        for (member, value, range) in given {
            let Some(value) = value else { continue };
            if !range.contains(&value) {
                self.beyond(member, *range.start(), *range.end());
            }
            if let Some(first) = first {
                self.instead(member, first);
            }
            first = first.or(Some(member));
        }
    }

    fn reminder(&mut self) {
        let step = self.step;
        let (seconds, minutes) = (step.reminder_seconds_before, step.reminder_working_minutes_before);
        if let Some(seconds) = seconds {
            match step.deadline_seconds {
                _ if !step.has_deadline() => self.needs_deadline("reminder_seconds_before"),
                _ if seconds < MINUTE => {
                    self.out_of_range("reminder_seconds_before", "must be at least 60", "不得小于60");
                }
                Some(deadline) if deadline <= seconds => self.out_of_range(
                    "reminder_seconds_before",
                    "must be less than deadline_seconds",
                    "须小于 deadline_seconds",
                ),
                _ => {}
            }
        }
        if let Some(minutes) = minutes {
            if !step.has_deadline() {
                self.needs_deadline("reminder_working_minutes_before");
            } else if !(1..=MOST_MINUTES).contains(&minutes) {
                self.beyond("reminder_working_minutes_before", 1, MOST_MINUTES);
            } else if step
                .deadline_working_minutes
                .is_some_and(|deadline| deadline <= minutes)
            {
                self.out_of_range(
                    "reminder_working_minutes_before",
                    "must be less than deadline_working_minutes",
                    "须小于 deadline_working_minutes",
                );
            }
            if seconds.is_some() {
                self.instead("reminder_working_minutes_before", "reminder_seconds_before");
            }
        }
    }

    fn beyond(&mut self, member: &str, least: i64, most: i64) {
        self.out_of_range(
            member,
            &format!("must be from {least} to {most}"),
            &format!("须在{least}到{most}之间"),
        );
    }

    fn instead(&mut self, member: &str, other: &str) {
        self.faults.push(Fault::invalid(
            self.place(member),
            format!("cannot be given together with {other}"),
            format!("不能与 {other} 同时给出"),
        ));
    }

    fn escalation(&mut self) {
        let step = self.step;
        let Some(escalation) = &step.escalation else {
            return;
        };
        if !step.has_deadline() {
            self.needs_deadline("escalation");
        }
        match escalation {
            Escalation::Leader {} => {}
            Escalation::Role { role } => {
                let at = self.place("escalation/role");
                self.role(&at, role);
            }
        }
    }

    fn needs_deadline(&mut self, member: &str) {
        self.faults.push(Fault::invalid(
            self.place(member),
            "needs a deadline",
            "须先设置期限",
        ));
    }
}

/// The most people a step can ask, when its document alone tells.
fn most_seats(step: &ProcessStep) -> Option<usize> {
    let mut named = BTreeSet::<Uuid>::new();
    let mut others = 0;
    for approver in &step.approvers {
        match approver {
            Approver::Users { user_ids } => named.extend(user_ids),
            Approver::Role { .. } => return None,
            Approver::Leader { .. } | Approver::HeadOfTeam { .. } => others += 1,
        }
    }
    Some(named.len() + others)
}
