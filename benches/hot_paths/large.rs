//! Search and the look-up of duplicates where a company has very many accounts, of Chinese, Latin and Cyrillic names that
//! are as different from each other as real ones are.

use crate::data::{self, DataSet, LARGE};
use crate::load::{self, Figures, Target};
use crate::server::Server;
use crate::{Failure, database, http};
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_postgres::Client;

/// How many names of each script are asked for in turn.
const ASKED: i64 = 2000;

const REGIONS: &str =
    "北京,上海,广州,深圳,杭州,南京,苏州,成都,重庆,武汉,西安,天津,青岛,大连,宁波,厦门,长沙,郑州,合肥,济南";
const CHARACTERS: &str = "华,恒,信,智,联,达,盛,泰,宏,远,新,瑞,丰,嘉,鼎,众,康,安,博,创,源,中,正,天,海,金,龙,凯,利,德,美,佳,兴,隆,永,昌,富,顺,和,平,光,明,星,辰,云,峰,江,河,川,岭,松,柏,梅,兰,竹,菊,春,秋,东,南,西,北,方,元,亨,贞,诚,义,仁,礼,勤,俭,思,齐,同,心,共,赢,万,里,长,城,飞,腾,跃,进,扬,帆,启,航,朝,阳,曙,晨,旭,日,蓝,青,紫,红";
const TRADES: &str = "科技,信息技术,电子,机械制造,医疗器械,生物医药,物流,食品,建材,化工,新能源,教育咨询,文化传媒,软件,贸易,环保工程,自动化,纺织,汽车零部件,装饰工程";
const SYLLABLES: &str = "al,ban,cor,del,en,fer,gal,hol,in,jas,kel,lum,mar,nor,os,pol,quin,ros,sal,tor,um,vel,wes,xan,yor,zel,bra,cle,dro,fla,gri,kro,pla,pri,sta,stel,tra,tri,vin,wol";
const WORDS: &str = "Systems,Trading,Industries,Logistics,Medical,Software,Foods,Energy,Partners,Engineering,Textiles,Chemicals,Motors,Instruments,Packaging,Consulting,Optics,Marine,Robotics,Materials";
const ENDINGS: &str = "Ltd,GmbH,Inc.,S.A.,Limited,LLC,B.V.,AG";
const CYRILLIC: &str = "ал,бор,вол,гор,дон,ел,жар,зем,ин,кам,лес,мор,нев,ост,пол,рос,сев,тур,ур,фор,хим,цен,чер,юг,яр,бел,гран,крас,свет,строй";
const CYRILLIC_WORDS: &str =
    "Торг,Строй,Маш,Пром,Сервис,Транс,Энерго,Агро,Мед,Техно,Металл,Инвест,Проект,Логистика,Монтаж";

/// SQL of one of some words, drawn for record `n`; another `seed` draws another one.
fn pick(words: &str, seed: u8) -> String {
    let count = words.split(',').count();
    format!(
        "(string_to_array('{words}', ','))[(hashint8extended(n, {seed}) & 9223372036854775807) % {count} + 1]"
    )
}

/// SQL of the name of account `n`.
fn name_sql() -> String {
    let syllables = |words: &str, seed: u8| {
        let drawn = (0..3).map(|place| pick(words, seed + place));
        format!("initcap({})", drawn.collect::<Vec<_>>().join(" || "))
    };
    format!(
        "CASE n % 4 WHEN 2 THEN {} || ' ' || {} || ' ' || {} WHEN 3 THEN 'ООО «' || {} || ' ' || {} || '»' \
         ELSE {} || {} || {} || {} || CASE WHEN n % 8 < 4 THEN '有限公司' ELSE '股份有限公司' END END",
        syllables(SYLLABLES, 10),
        pick(WORDS, 13),
        pick(ENDINGS, 14),
        syllables(CYRILLIC, 20),
        pick(CYRILLIC_WORDS, 23),
        pick(REGIONS, 1),
        pick(CHARACTERS, 2),
        pick(CHARACTERS, 3),
        pick(TRADES, 4),
    )
}

/// Names that were entered, by script.
struct Names {
    chinese: Vec<String>,
    latin: Vec<String>,
    cyrillic: Vec<String>,
}

impl Names {
    async fn read(client: &Client, tenant: uuid::Uuid, count: i64) -> Result<Names, Failure> {
        let of = async |script: i64| -> Result<Vec<String>, Failure> {
            let statement = format!(
                "SELECT t.name FROM generate_series(0, {ASKED} - 1) g CROSS JOIN LATERAL (SELECT g * 7919 % {} * 4 + {script} AS n) drawn \
                 JOIN accounts t ON t.tenant_id = $1 AND t.id = {}",
                count / 4,
                data::id_sql(&LARGE.to_string(), "n")
            );
            let rows = client.query(&statement, &[&tenant]).await?;
            Ok(rows.iter().map(|row| row.get(0)).collect())
        };
        Ok(Names {
            chinese: of(0).await?,
            latin: of(2).await?,
            cyrillic: of(3).await?,
        })
    }
}

/// What is asked.
#[derive(Clone, Copy)]
enum Question {
    TwoCharacters,
    ChineseName,
    LatinName,
    LatinSlip,
    CyrillicName,
    CheckChinese,
    CheckTransposed,
    CheckLatin,
    CheckLatinSlip,
    CheckCyrillic,
}

impl Question {
    const ALL: [Question; 10] = [
        Question::TwoCharacters,
        Question::ChineseName,
        Question::LatinName,
        Question::LatinSlip,
        Question::CyrillicName,
        Question::CheckChinese,
        Question::CheckTransposed,
        Question::CheckLatin,
        Question::CheckLatinSlip,
        Question::CheckCyrillic,
    ];

    fn label(self) -> &'static str {
        match self {
            Question::TwoCharacters => "search for two Chinese characters",
            Question::ChineseName => "search for a Chinese name",
            Question::LatinName => "search for a Latin name",
            Question::LatinSlip => "search for a Latin name with a slip",
            Question::CyrillicName => "search for a Cyrillic name",
            Question::CheckChinese => "check a Chinese name with another legal form",
            Question::CheckTransposed => "check a Chinese name with transposed words",
            Question::CheckLatin => "check a Latin name with another legal form",
            Question::CheckLatinSlip => "check a Latin name with a slip",
            Question::CheckCyrillic => "check a Cyrillic name",
        }
    }

    fn request(self, names: &Names, bearer: &str, n: usize) -> Vec<u8> {
        let of = |names: &[String]| names.get(n % names.len().max(1)).cloned().unwrap_or_default();
        let (chinese, latin, cyrillic) = (of(&names.chinese), of(&names.latin), of(&names.cyrillic));
        let characters = chinese.chars().collect::<Vec<_>>();
        let part = |from: usize, to: usize| {
            let found = characters.get(from..to).unwrap_or_default();
            found.iter().collect::<String>()
        };
        let bare = part(0, characters.len())
            .replace("股份有限公司", "")
            .replace("有限公司", "");
        let text = match self {
            Question::TwoCharacters => part(2, 4),
            Question::ChineseName => chinese,
            Question::LatinName | Question::CheckLatin => {
                let words = latin.rsplit_once(' ').map_or(latin.as_str(), |(words, _)| words);
                match self {
                    Question::CheckLatin => format!("{words} Co., Ltd."),
                    _ => words.to_owned(),
                }
            }
            Question::LatinSlip | Question::CheckLatinSlip => with_slip(&latin),
            Question::CyrillicName | Question::CheckCyrillic => {
                cyrillic.replace("ООО «", "").replace('»', "")
            }
            Question::CheckChinese => format!("{bare}有限责任公司"),
            Question::CheckTransposed => {
                format!("{}{}有限公司", part(2, bare.chars().count()), part(0, 2))
            }
        };
        match self {
            Question::TwoCharacters
            | Question::ChineseName
            | Question::LatinName
            | Question::LatinSlip
            | Question::CyrillicName => http::request(
                "GET",
                &format!("/v1/search?q={}", http::encoded(&text)),
                bearer,
                "",
            ),
            _ => {
                let body = json!({ "name": text }).to_string();
                http::request("POST", "/v1/accounts/duplicates", bearer, &body)
            }
        }
    }
}

/// A name as somebody types it in a hurry: two letters in the middle of the first word have changed places.
fn with_slip(name: &str) -> String {
    let mut letters = name.chars().collect::<Vec<_>>();
    let middle = name.find(' ').unwrap_or(name.len()) / 2;
    if middle > 0 && middle < letters.len() {
        letters.swap(middle - 1, middle);
    }
    letters.into_iter().collect()
}

/// The figures, a line each.
pub struct Large {
    accounts: i64,
    /// From the first row until all were found by search and by their names.
    filled: Duration,
    lines: Vec<(&'static str, Figures)>,
}

impl fmt::Display for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} accounts more (all found {:.0} s after they were begun), one connection:\n",
            self.accounts,
            self.filled.as_secs_f64()
        )?;
        writeln!(f, "| operation | requests/s | p50 ms | p99 ms | Postgres µs |")?;
        writeln!(f, "|---|--:|--:|--:|--:|")?;
        for (label, figures) in &self.lines {
            writeln!(
                f,
                "| {label} | {:.0} | {:.1} | {:.1} | {:.0} |",
                figures.per_second, figures.p50_millis, figures.p99_millis, figures.postgres_micros
            )?;
        }
        Ok(())
    }
}

/// Adds so many accounts, waits until they are found, and asks for them, the director whoever owns them.
pub async fn measure(
    (url, postmaster_pid): (&str, Option<u32>),
    data: &DataSet,
    count: i64,
    seconds: u64,
) -> Result<Large, Failure> {
    let client = database::connect(url).await?;
    let begun = std::time::Instant::now();
    client
        .batch_execute(&data::accounts(data.tenant, LARGE, &name_sql(), count))
        .await?;
    // What stands beside records is made up for when a server starts.
    let server = Server::start(url).await?;
    data::placed(&client).await?;
    let filled = begun.elapsed();
    let names = Arc::new(Names::read(&client, data.tenant, count).await?);
    let bearer = http::bearer(
        &server
            .sign_in(&data::email(data::DIRECTOR), data::PASSWORD)
            .await?,
    );
    let target = Target {
        address: server.address,
        server_pid: server.pid(),
        postmaster_pid,
    };
    let mut lines = Vec::new();
    for question in Question::ALL {
        eprintln!("{} …", question.label());
        let run = async |length: u64| {
            let (names, bearer, next) = (Arc::clone(&names), bearer.clone(), AtomicUsize::new(0));
            let requests = Box::new(move || {
                Some(question.request(&names, &bearer, next.fetch_add(1, Ordering::Relaxed)))
            });
            load::run(target, 1, Duration::from_secs(length), 200, requests).await
        };
        run(seconds).await?;
        lines.push((question.label(), run(seconds * 3).await?));
    }
    server.stop().await?;
    Ok(Large {
        accounts: count,
        filled,
        lines,
    })
}
