use super::*;
use crate::kernel::expression::Vocabulary;
use crate::pipeline::definition::PipelineDocument;
use crate::pipeline::gate::{Answer, Approval, ApprovalState};
use crate::pipeline::vocabulary::Known;
use chrono::DateTime;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;

fn id(key: &str) -> Uuid {
    let letter = key.bytes().next().unwrap_or_default();
    Uuid::from_u128(u128::from(letter))
}

/// need → pay → (develop | propose); propose → win. Out of pay there are two edges.
fn document(asks_by_itself: bool, advances: bool) -> PipelineDocument {
    let gate = json!({ "kind": "all", "of": [
        { "kind": "check", "key": "c", "label": "客户确认" },
        { "kind": "approval", "key": "a", "label": "审批通过", "process": "p" },
    ] });
    serde_json::from_value(json!({ "key": "k", "name": "k", "stages": [
        { "key": "need", "name": "确认需求", "probability": "0.05", "gate": gate, "asks_approval_by_itself": asks_by_itself, "advances_when_approved": advances },
        { "key": "pay", "name": "支付能力", "probability": "0.1", "next": ["develop", "propose"] },
        { "key": "develop", "name": "制定方案", "probability": "0.3" },
        { "key": "propose", "name": "提出方案", "probability": "0.6" },
    ] }))
    .unwrap()
}

fn course_of(document: &PipelineDocument) -> Course {
    let ids = document.stages.iter().map(|stage| {
        // "pay" and "propose" begin with the same letter.
        let id = if stage.key == "propose" {
            id("z")
        } else {
            id(&stage.key)
        };
        (stage.key.clone(), id)
    });
    Course::new(document, &ids.collect()).unwrap()
}

struct Scene {
    course: Course,
    gate: Gate,
    standing: Standing,
    status: Status,
    stage_id: Uuid,
}

impl Scene {
    fn at(stage: &str) -> Scene {
        Scene::of(document(true, true), stage)
    }

    fn of(document: PipelineDocument, stage: &str) -> Scene {
        let course = course_of(&document);
        let known = Known::new(
            &crate::opportunity::SUBJECTS,
            Vocabulary::new(),
            Vocabulary::new(),
            ["p".to_owned()],
        );
        let gate = Gate::compile(document.stage(stage).unwrap(), &known).unwrap();
        let stage_id = course.steps().iter().find(|step| step.key == stage);
        let stage_id = stage_id.unwrap().id;
        Scene {
            course,
            gate,
            standing: Standing::new(Uuid::from_u128(1), DateTime::UNIX_EPOCH),
            status: Status::Open,
            stage_id,
        }
    }

    fn ticked(mut self) -> Scene {
        let answer = Answer {
            answer: Value::Bool(true),
            note: None,
            by: None,
            at: DateTime::UNIX_EPOCH,
        };
        self.standing.answers.insert("c".to_owned(), answer);
        self
    }

    fn approval(mut self, state: ApprovalState) -> Scene {
        let approval = Approval {
            state,
            ..Approval::default()
        };
        self.standing.approvals.insert("a".to_owned(), approval);
        self
    }

    fn deal(&self) -> Deal<'_> {
        Deal {
            status: self.status,
            stage_id: self.stage_id,
            course: &self.course,
        }
    }

    fn advance(&self, to_stage_id: Option<Uuid>) -> Result<Decision, Refusal> {
        let wish = Wish {
            from_stage_id: self.stage_id,
            to_stage_id,
        };
        decide(&self.deal(), &self.gate, &self.standing, wish)
    }
}

#[test]
fn a_deal_advances_if_and_only_if_its_gate_is_open() {
    let open = Scene::at("need").ticked().approval(ApprovalState::Approved);
    assert!(matches!(open.advance(None), Ok(Decision::Advance { to, .. }) if to == id("pay")));
    let closed = Scene::at("need").approval(ApprovalState::Approved);
    let Err(Refusal::GateNotMet(verdict)) = closed.advance(None) else {
        panic!("an unticked criterion blocks");
    };
    assert_eq!(verdict.blocking().len(), 1);
}

#[test]
fn an_approval_is_asked_for_only_when_nothing_else_is_missing() {
    let waiting = Scene::at("need");
    assert!(matches!(waiting.advance(None), Err(Refusal::GateNotMet(_))));
    let ready = Scene::at("need").ticked();
    let Ok(Decision::AskApproval { criteria, target, .. }) = ready.advance(None) else {
        panic!("the stage asks by itself");
    };
    assert_eq!(criteria, ["a"]);
    assert_eq!(target, Target::Stage(id("pay")));
}

#[rstest]
#[case::asked_already(ApprovalState::Pending, false)]
#[case::a_no_is_not_asked_again(ApprovalState::Rejected, false)]
#[case::what_lapsed_is(ApprovalState::Lapsed, true)]
#[case::what_was_returned_is(ApprovalState::Returned, true)]
fn an_advance_asks_again_only_where_asking_helps(#[case] state: ApprovalState, #[case] asks: bool) {
    let decision = Scene::at("need").ticked().approval(state).advance(None);
    assert_eq!(matches!(decision, Ok(Decision::AskApproval { .. })), asks);
    assert_eq!(matches!(decision, Err(Refusal::GateNotMet(_))), !asks);
}

#[test]
fn a_stage_that_does_not_ask_by_itself_refuses_instead() {
    let ready = Scene::of(document(false, false), "need").ticked();
    assert!(matches!(ready.advance(None), Err(Refusal::GateNotMet(_))));
}

#[test]
fn out_of_the_last_stage_it_wins() {
    assert!(matches!(
        Scene::at("propose").advance(None),
        Ok(Decision::Win { .. })
    ));
}

#[test]
fn with_several_edges_an_advance_names_its_target() {
    let scene = Scene::at("pay");
    let Err(Refusal::TargetNeeded(allowed)) = scene.advance(None) else {
        panic!("two edges lead on");
    };
    let names = allowed.iter().map(|(_, name)| name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["制定方案", "提出方案"]);
    assert!(matches!(scene.advance(Some(id("z"))), Ok(Decision::Advance { to, .. }) if to == id("z")));
    assert!(matches!(
        scene.advance(Some(id("need"))),
        Err(Refusal::TargetNotAllowed(allowed)) if allowed.len() == 2
    ));
}

#[test]
fn a_deal_that_somebody_else_moved_or_closed_is_left_alone() {
    let scene = Scene::at("pay");
    let wish = Wish {
        from_stage_id: id("need"),
        to_stage_id: None,
    };
    let decision = decide(&scene.deal(), &scene.gate, &scene.standing, wish);
    assert!(matches!(decision, Err(Refusal::StageChanged { stage_id, .. }) if stage_id == id("pay")));
    for status in [Status::Won, Status::Lost] {
        let scene = Scene {
            status,
            ..Scene::at("pay")
        };
        assert_eq!(scene.advance(None), Err(Refusal::AlreadyClosed(status)));
    }
}

#[test]
fn the_last_approval_moves_the_deal_only_if_the_stage_says_so_and_the_whole_gate_is_open() {
    let moves = |scene: &Scene| {
        let asked = Wish {
            from_stage_id: id("need"),
            to_stage_id: None,
        };
        after_approval(&scene.deal(), &scene.gate, &scene.standing, asked).is_some()
    };
    let approved = |scene: Scene| scene.approval(ApprovalState::Approved);
    assert!(moves(&approved(Scene::at("need").ticked())));
    assert!(!moves(&approved(Scene::at("need"))));
    assert!(!moves(&approved(
        Scene::of(document(true, false), "need").ticked()
    )));
    assert!(!moves(&Scene::at("develop")));
}

#[test]
fn a_deal_goes_back_to_any_earlier_stage_with_a_reason_and_voids_what_came_after() {
    let scene = Scene::at("propose");
    let back = |to: &str, reason: &str| decide_regress(&scene.deal(), scene.stage_id, id(to), reason);
    assert_eq!(
        back("pay", "预算取消"),
        Ok(Regress {
            to: id("pay"),
            voided: vec![id("pay"), id("develop"), id("z")],
        })
    );
    assert_eq!(back("pay", " "), Err(Refusal::ReasonNeeded));
    assert!(matches!(back("z", "x"), Err(Refusal::TargetNotAllowed(allowed)) if allowed.len() == 3));
}

#[test]
fn a_pipeline_may_forbid_going_back() {
    let mut document = document(true, true);
    document.is_regress_allowed = false;
    let scene = Scene::of(document, "pay");
    let back = decide_regress(&scene.deal(), scene.stage_id, id("need"), "x");
    assert_eq!(back, Err(Refusal::RegressForbidden));
}

#[test]
fn an_override_goes_where_an_advance_would_and_a_skip_to_any_later_stage_both_with_a_reason() {
    let scene = Scene::at("need");
    let wish = Wish {
        from_stage_id: id("need"),
        to_stage_id: None,
    };
    let overridden =
        |reason: &str| decide_override(&scene.deal(), &scene.gate, &scene.standing, wish, reason);
    let Ok(Decision::Advance { to, evidence }) = overridden("总经理特批") else {
        panic!("an override passes a closed gate");
    };
    assert_eq!(to, id("pay"));
    assert!(!evidence.is_open());
    assert_eq!(overridden(""), Err(Refusal::ReasonNeeded));

    let skipped = |to: &str, reason: &str| {
        decide_skip(
            &scene.deal(),
            &scene.gate,
            &scene.standing,
            id("need"),
            id(to),
            reason,
        )
    };
    assert!(matches!(skipped("z", "已有方案"), Ok(Decision::Advance { to, .. }) if to == id("z")));
    assert_eq!(skipped("z", ""), Err(Refusal::ReasonNeeded));
    assert!(matches!(skipped("need", "x"), Err(Refusal::TargetNotAllowed(_))));
}

#[test]
fn a_refusal_tells_the_whole_gate_in_the_callers_language() {
    let refusal = Scene::at("need").advance(None).unwrap_err();
    let AppError::Refused(refused) = refusal.into_error(Lang::Zh) else {
        panic!("a closed gate is a refusal");
    };
    assert_eq!(refused.code, Code::GateNotMet);
    assert_eq!(refused.detail.zh, "有 2 项条件未满足：客户确认；审批通过");
    assert_eq!(refused.more["gate"]["tree"]["of"][0]["reason"], "尚未勾选");

    let needed = Scene::at("pay").advance(None).unwrap_err();
    let AppError::Refused(refused) = needed.into_error(Lang::En) else {
        panic!("a missing target is a refusal");
    };
    assert_eq!(refused.faults[0].pointer, "/to_stage_id");
    assert_eq!(refused.faults[0].code, "required");
}

proptest! {
    #[test]
    fn an_advance_never_moves_more_than_one_edge_nor_through_a_closed_gate(
        stage in 0..4usize, from in 0..4usize, to in proptest::option::of(0..5usize), is_ticked: bool, is_approved: bool, is_open: bool
    ) {
        let keys = ["need", "pay", "develop", "propose"];
        let mut scene = Scene::at(keys[stage]);
        if is_ticked {
            scene = scene.ticked();
        }
        if is_approved {
            scene = scene.approval(ApprovalState::Approved);
        }
        if !is_open {
            scene.status = Status::Lost;
        }
        let ids = scene.course.steps().iter().map(|step| step.id).chain([Uuid::from_u128(99)]).collect::<Vec<_>>();
        let wish = Wish { from_stage_id: ids[from], to_stage_id: to.map(|to| ids[to]) };
        let decision = decide(&scene.deal(), &scene.gate, &scene.standing, wish);
        let step = &scene.course.steps()[stage];
        if let Ok(Decision::Advance { evidence, .. } | Decision::Win { evidence }) = &decision {
            prop_assert!(is_open && from == stage && evidence.is_open());
        }
        match decision {
            Ok(Decision::Advance { to, .. }) => prop_assert!(scene.course.onward(step).iter().any(|onward| onward.id == to)),
            Ok(Decision::Win { .. }) => prop_assert!(step.is_final()),
            Ok(Decision::AskApproval { criteria, .. }) => prop_assert!(!criteria.is_empty() && step.asks_approval_by_itself),
            Err(_) => {}
        }
    }
}
