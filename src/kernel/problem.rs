//! Every problem code there is, with its status and what its page says.

use strum::{EnumIter, IntoStaticStr};

/// The stable code of a refusal. Clients may branch on it; the status follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Code {
    MalformedBody,
    BadParameter,
    BadHeader,
    Unauthenticated,
    BadSignature,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    GateNotMet,
    StageChanged,
    AlreadyClosed,
    NotClosed,
    Duplicate,
    InUse,
    Archived,
    NotArchived,
    AlreadyConverted,
    Merged,
    RequestInProgress,
    RequestClosed,
    NotYourDecision,
    ApprovalPending,
    VersionPublished,
    NotPublishable,
    LastAdministrator,
    GrantExceedsOwn,
    OwnRoles,
    SuccessorRequired,
    NotInPool,
    QuotaReached,
    CoolingDown,
    OverCapacity,
    Frozen,
    NotSandbox,
    Stale,
    TooLarge,
    UnsupportedMediaType,
    Invalid,
    IdempotencyKeyReused,
    TooManyRequests,
    Internal,
    Unavailable,
}

/// What a problem's page says.
pub struct Page {
    pub status: u16,
    pub title: &'static str,
    pub title_zh: &'static str,
    /// When it happens.
    pub meaning: &'static str,
    /// What the caller can do.
    pub remedy: &'static str,
}

const fn page(
    status: u16,
    title: &'static str,
    title_zh: &'static str,
    meaning: &'static str,
    remedy: &'static str,
) -> Page {
    Page {
        status,
        title,
        title_zh,
        meaning,
        remedy,
    }
}

impl Code {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn status(self) -> u16 {
        self.page().status
    }

    pub fn page(self) -> Page {
        match self {
            Code::MalformedBody => page(
                400,
                "The body is not well-formed",
                "请求体格式错误",
                "The body is not JSON as RFC 8259 has it, repeats a member name, nests deeper than 32 levels, or contains a NUL character or a lone surrogate.",
                "Send one well-formed JSON document in UTF-8; `detail` says where reading stopped.",
            ),
            Code::BadParameter => page(
                400,
                "A query parameter is unknown or malformed",
                "查询参数有误",
                "A parameter is not one this operation knows, has the wrong form, or a cursor was altered or belongs to another list.",
                "Each fault in `errors` names the parameter; for closed lists `detail` gives the allowed values.",
            ),
            Code::BadHeader => page(
                400,
                "A request header is malformed",
                "请求头有误",
                "A header such as If-Match, Idempotency-Key or Prefer does not have the form its standard gives it.",
                "Send the header as documented, or leave it out.",
            ),
            Code::Unauthenticated => page(
                401,
                "You are not signed in",
                "未登录",
                "No valid access token or API key came with the request: it is missing, expired, revoked, or its user was deactivated.",
                "Sign in with POST /v1/auth/login or refresh with POST /v1/auth/refresh, and send `Authorization: Bearer …`.",
            ),
            Code::BadSignature => page(
                401,
                "The signature does not verify",
                "签名验证失败",
                "A signed delivery lacks one of webhook-id, webhook-timestamp and webhook-signature, is older or newer than five minutes, or was signed with another secret or over other bytes.",
                "Sign the raw body as the Standard Webhooks specification says, with the source's present secret.",
            ),
            Code::Forbidden => page(
                403,
                "You may not do this",
                "无权执行此操作",
                "You may see the record, but no role of yours grants this action on it.",
                "`detail` names the permission; an administrator can grant it.",
            ),
            Code::NotFound => page(
                404,
                "There is no such thing, or you cannot see it",
                "不存在或不可见",
                "Nothing has this address, or it exists and is not visible to you; the two are not told apart.",
                "Check the id, and that you are signed in to the right company.",
            ),
            Code::MethodNotAllowed => page(
                405,
                "This address knows other methods",
                "不支持该方法",
                "The path exists, but not with this method.",
                "The Allow header lists the methods.",
            ),
            Code::Conflict => page(
                409,
                "The present state forbids this",
                "当前状态不允许此操作",
                "The record is in a state in which this cannot be done.",
                "`detail` says which state that is.",
            ),
            Code::GateNotMet => page(
                409,
                "The stage's gate is not open",
                "阶段退出条件未满足",
                "At least one required exit criterion of the present stage does not hold, or its approval is not granted.",
                "`gate` is the whole tree: each unmet criterion has its reason, who may act, and the call that helps.",
            ),
            Code::StageChanged => page(
                409,
                "The opportunity is elsewhere by now",
                "商机已不在该阶段",
                "The opportunity is not in the stage named by from_stage_id: somebody moved it first.",
                "Read it again and decide anew.",
            ),
            Code::AlreadyClosed => page(
                409,
                "The opportunity is closed",
                "商机已关闭",
                "A won or lost opportunity does not move and its parts do not change.",
                "Reopen it if it was closed by mistake, or restart it in a new cycle.",
            ),
            Code::NotClosed => page(
                409,
                "The opportunity is still open",
                "商机仍在进行中",
                "Only a closed opportunity can be reopened or restarted.",
                "Nothing to do: it is open.",
            ),
            Code::Duplicate => page(
                409,
                "It exists already",
                "记录已存在",
                "A record with the same unique member exists.",
                "`errors` names the member. Use the record there is, or another value.",
            ),
            Code::InUse => page(
                409,
                "Others still rely on it",
                "仍被引用",
                "Other records refer to this one in a way that forbids what you ask.",
                "`detail` says which; change those first.",
            ),
            Code::Archived => page(
                409,
                "It is archived",
                "已归档",
                "An archived record is read-only.",
                "Restore it first.",
            ),
            Code::NotArchived => page(
                409,
                "It is not archived",
                "未归档",
                "Only an archived record can be restored.",
                "Nothing to do.",
            ),
            Code::AlreadyConverted => page(
                409,
                "The lead is converted",
                "线索已转化",
                "A converted lead is history; it no longer changes.",
                "Work on what it became: its converted_… members name it.",
            ),
            Code::Merged => page(
                409,
                "It was merged into another record",
                "已合并到另一记录",
                "The record ended in a merge; another one goes on for it.",
                "`survivor_id` names the record that goes on. Undoing the merge brings this one back.",
            ),
            Code::RequestInProgress => page(
                409,
                "The first request with this key is still running",
                "相同幂等键的请求仍在处理",
                "A request with the same Idempotency-Key has not finished, or another transaction holds the record.",
                "Try again after Retry-After seconds.",
            ),
            Code::RequestClosed => page(
                409,
                "The approval is closed",
                "审批已结束",
                "The request or the step was decided, withdrawn or lapsed before this arrived.",
                "Read the request; resubmit if it is still needed.",
            ),
            Code::NotYourDecision => page(
                403,
                "It is not yours to decide",
                "不由您审批",
                "You hold no undecided seat in an open step of this request.",
                "The request shows who decides now.",
            ),
            Code::ApprovalPending => page(
                409,
                "An approval is pending already",
                "审批正在进行",
                "The same approval was asked for and is not decided.",
                "Wait for it, or withdraw it first.",
            ),
            Code::VersionPublished => page(
                409,
                "A published version never changes",
                "已发布的版本不可修改",
                "Only drafts can be edited or published.",
                "Make a new draft version.",
            ),
            Code::NotPublishable => page(
                422,
                "The draft has faults",
                "草稿存在错误，无法发布",
                "The definition cannot be published as it stands.",
                "`errors` names every fault with its place in the document.",
            ),
            Code::LastAdministrator => page(
                409,
                "The last administrator cannot go",
                "不能移除最后一名管理员",
                "A company always keeps at least one active administrator.",
                "Make somebody else an administrator first.",
            ),
            Code::GrantExceedsOwn => page(
                403,
                "Nobody grants what they do not hold",
                "不能授予自己没有的权限",
                "A role or key would grant a permission, or a scope, beyond yours.",
                "`detail` names it. Ask someone who holds it.",
            ),
            Code::OwnRoles => page(
                403,
                "Nobody changes their own roles",
                "不能修改自己的角色",
                "You tried to change the roles you hold, a role that you hold, or the teams by which your rights go: your own, one that you would come to lead, one that would come below yours, or who is in it.",
                "Ask another administrator.",
            ),
            Code::SuccessorRequired => page(
                409,
                "Somebody must take over first",
                "需要指定交接人",
                "The user still owns records or holds undecided approvals.",
                "Name a successor_id; everything is handed over in the same transaction.",
            ),
            Code::NotInPool => page(
                409,
                "It is not in the public pool",
                "不在公海中",
                "Somebody else claimed or was given the record, or it never was in the pool.",
                "Read the pool again; what is in it now can be claimed.",
            ),
            Code::QuotaReached => page(
                409,
                "You may not claim more",
                "已达到领取上限",
                "You hold as many records as the company lets one person hold, or claimed as many today as it lets one person claim a day.",
                "`quota` says which and how many; release records, or claim again tomorrow.",
            ),
            Code::CoolingDown => page(
                409,
                "You had it until lately",
                "冷却期内不可领取",
                "Whoever released a record, or lost it because nobody tended it, cannot claim it for the days that the company sets.",
                "`claimable_from` says from when on; others may claim it meanwhile.",
            ),
            Code::OverCapacity => page(
                409,
                "They hold as many leads as they may",
                "已达线索持有上限",
                "The new owner already holds as many open leads as their own capacity, or the company's, allows; `capacity` has both numbers.",
                "Choose somebody else, or send `override_capacity` with a reason. Whoever claims from the pool gives up another lead first.",
            ),
            Code::Frozen => page(
                409,
                "It is frozen",
                "内容已冻结",
                "What was approved and frozen does not change.",
                "Make a new one.",
            ),
            Code::NotSandbox => page(
                409,
                "Only a sandbox company's clock can be moved",
                "仅沙盒企业可调整时钟",
                "This company lives by real time.",
                "Make a sandbox company to try things on other days.",
            ),
            Code::Stale => page(
                412,
                "It changed since you read it",
                "数据已被他人修改",
                "If-Match names a version that is no longer the present one. Nothing was changed.",
                "Read it again and repeat your change on the new version.",
            ),
            Code::TooLarge => page(
                413,
                "The body is too large",
                "请求体过大",
                "The body, also after decompression, is over the limit of this operation.",
                "Send less at once: 1 MiB for JSON, 256 KiB for a delivery.",
            ),
            Code::UnsupportedMediaType => page(
                415,
                "This media type is not understood",
                "不支持的媒体类型",
                "The body is not declared as JSON in UTF-8, or its Content-Encoding is none that is accepted.",
                "Send application/json (a PATCH also takes application/merge-patch+json) in UTF-8, plain or with Content-Encoding gzip or deflate.",
            ),
            Code::Invalid => page(
                422,
                "The body is well-formed but not valid",
                "请求内容无效",
                "One or more members are missing, unknown, of the wrong type, out of range, or break a rule.",
                "`errors` lists all faults at once, each with the JSON Pointer of its member.",
            ),
            Code::IdempotencyKeyReused => page(
                422,
                "This Idempotency-Key was used for something else",
                "幂等键已用于其他请求",
                "The key was sent before with another body.",
                "Use a fresh key for every new intent, the same key only for a repetition.",
            ),
            Code::TooManyRequests => page(
                429,
                "Slow down",
                "请求过于频繁",
                "You, your company, or this sign-in used up its share.",
                "Wait Retry-After seconds. The RateLimit fields show the shares.",
            ),
            Code::Internal => page(
                500,
                "Something broke on our side",
                "服务器内部错误",
                "An error that is ours. It was logged under the request id.",
                "Try again with the same Idempotency-Key; report the request id if it stays.",
            ),
            Code::Unavailable => page(
                503,
                "Not available right now",
                "服务暂不可用",
                "The database is out of reach, full, or too slow; nothing was changed unless a retry with the same key shows otherwise.",
                "Try again after Retry-After seconds, with the same Idempotency-Key.",
            ),
        }
    }
}
