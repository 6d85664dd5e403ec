//! The scripts that run on hosts, put together from `templates/host/` and quoted values.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::model::{Become, InterfaceName, Name};

use super::question::{Fingerprint, Question, sysctl_path};
use super::{Answer, AnswerError, Error};

pub(super) const LIB: &str = include_str!("../../templates/host/lib.sh");
const OBSERVE: &str = include_str!("../../templates/host/observe.sh");
const SURVEY: &str = include_str!("../../templates/host/survey.sh");
pub(super) const DEPLOY: &str = include_str!("../../templates/host/deploy.sh");
const APPLY: &str = include_str!("../../templates/host/apply.sh");
const COMMIT: &str = include_str!("../../templates/host/commit.sh");
const HEADS: &str = include_str!("../../templates/host/heads.sh");

/// How long a host may take to answer a question, unless somebody wants it otherwise. Every script's deadline has it in.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

/// A script on its way to a host. May hold secrets: wiped on drop, never shown by Debug.
pub struct Script {
    kind: &'static str,
    boundary: String,
    text: Zeroizing<String>,
    deadline: Duration,
}

impl Script {
    pub(super) fn new(kind: &'static str, boundary: &str, deadline: Duration, body: &str) -> Self {
        let head = format!("B={boundary}\n");
        let mut text = Zeroizing::new(String::with_capacity(head.len() + LIB.len() + body.len() + 64));
        for part in [head.as_str(), LIB, body, "w_main </dev/null\n"] {
            text.push_str(part);
        }
        Self { kind, boundary: boundary.to_owned(), text, deadline }
    }

    /// Returns what kind of script it is, for the command log.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns the text for the shell's standard input.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns how long a host may take that is given so long to answer.
    pub(super) fn deadline(&self, patience: Duration) -> Duration {
        self.deadline.saturating_sub(ANSWER) + patience
    }

    /// Reads what came back.
    pub(super) fn read_answer(&self, host: &Name, stdout: &[u8], stderr: &str) -> Result<Answer, Error> {
        let host = host.clone();
        match Answer::parse(stdout, &self.boundary) {
            Ok(answer) => Ok(answer),
            Err(_) if stderr.contains("sudo:") || stderr.contains("sudo: not found") => {
                let reason = stderr.lines().find(|l| l.contains("sudo")).unwrap_or("sudo failed").trim().to_owned();
                Err(Error::NotRoot { host, reason })
            }
            Err(AnswerError::CutOff) => {
                let said = stderr.trim();
                let reason = if said.is_empty() { "its answer was cut off".to_owned() } else { said.to_owned() };
                Err(Error::Broken { host, reason })
            }
            Err(source) => Err(Error::Answer { host, source }),
        }
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Script({})", self.kind)
    }
}

/// What the login shell is asked to run: a shell as root that reads the script. Has no single quote, so that it can
/// stand between two whatever shell the login has.
pub(super) fn entry(becoming: Become) -> &'static str {
    match becoming {
        Become::Root => "exec sh -s",
        Become::Sudo => "exec sudo -n sh -s",
        Become::Auto => "if [ \"$(id -u)\" = 0 ]; then exec sh -s; else exec sudo -n sh -s; fi",
    }
}

/// A random word that no file contains.
pub(super) fn boundary() -> String {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes");
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Quotes a value for the shell.
pub(super) fn quote(value: &str) -> String {
    shlex::try_quote(value).expect("no value holds a NUL").into_owned()
}

/// Assigns the variables by which `lib.sh` knows what is ours.
pub(super) fn ours(question: &Question) -> String {
    let list = |words: Vec<String>| quote(&words.join(" "));
    format!(
        "W_IFACES={}\nW_SYSCTLS={}\nW_TABLES={}\nW_FILES={}\nW_KEYS={}\n",
        list(question.interfaces.iter().map(ToString::to_string).collect()),
        list(question.sysctls.iter().map(|key| sysctl_path(key)).collect()),
        list(question.tables.iter().cloned().collect()),
        list(question.files.iter().cloned().collect()),
        list(question.keys.iter().cloned().collect()),
    )
}

/// Asks a host for its state. `nudge`: addresses to ping first, each through an interface, so that peers there show
/// whether they live.
pub fn observe(question: &Question, nudge: &[(InterfaceName, IpAddr)]) -> Script {
    let nudge: Vec<String> = nudge.iter().map(|(interface, address)| format!("{interface}/{address}")).collect();
    let body = format!("{}W_NUDGE={}\n{OBSERVE}", ours(question), quote(&nudge.join(" ")));
    Script::new("observe", &boundary(), ANSWER, &body)
}

/// Asks a host for its state as it was asked before, so that the answer's fingerprint can be compared with that one.
pub fn observe_again(question: &Question, before: &Fingerprint) -> Script {
    let body = format!("{}W_NUDGE=\n{OBSERVE}", ours(question));
    Script::new("observe", &before.boundary, ANSWER, &body)
}

/// Asks a host for everything that could be adopted: whatever interfaces it has, and every wg-quick file.
pub fn survey() -> Script {
    let body = format!("{}W_NUDGE=\n{OBSERVE}\n{SURVEY}", ours(&Question::default()));
    Script::new("survey", &boundary(), ANSWER, &body)
}

/// A file that goes with a deploy, below the deploy's directory in memory.
pub struct StagedFile {
    /// Path below that directory, such as `new/wg0.conf`.
    pub path: String,
    /// Its content; ends with a newline.
    pub content: Zeroizing<String>,
}

/// What a deploy takes to a host.
pub struct Staging<'a> {
    /// Names the deploy.
    pub token: &'a str,
    /// Who deploys, for somebody who comes at the same time.
    pub owner: &'a str,
    /// The state the plan was made for, and that an undo comes back to.
    pub before: &'a Fingerprint,
    /// What is ours on the host.
    pub question: &'a Question,
    /// Seconds until the host takes everything back unless the deploy is confirmed.
    pub confirm_within: u64,
    /// The files.
    pub files: &'a [StagedFile],
    /// Checks of the staged files, shell commands one a line; the first that fails stops the deploy.
    pub checks: &'a [String],
    /// Each step's command and the command that takes it back.
    pub steps: &'a [(String, String)],
    /// Files in /etc/wireguard to keep (staged below `new/`).
    pub keep: &'a [String],
    /// Files in /etc/wireguard to remove.
    pub remove: &'a [String],
    /// Interfaces to start at boot.
    pub enable: &'a [String],
    /// Interfaces no longer to start at boot.
    pub disable: &'a [String],
}

/// The function `w_stage`, which writes files below `$D`.
pub(super) fn stage<'a>(files: impl Iterator<Item = &'a StagedFile>) -> Zeroizing<String> {
    let end = format!("WG_FRIEND_{}", boundary());
    let mut stage = String::from("w_stage() {\n");
    let mut text = Zeroizing::new(String::new());
    for file in files {
        let path = quote(&file.path);
        if file.content.is_empty() || file.content.ends_with('\n') {
            let _ = writeln!(stage, "cat > \"$D\"/{path} <<'{end}' &&");
            text.push_str(&stage);
            text.push_str(&file.content);
            let _ = writeln!(text, "{end}");
            stage.clear();
        } else {
            // The document has to end with a line end, which the substitution takes away again.
            let _ = writeln!(stage, "w_text=$(cat <<'{end}'");
            text.push_str(&stage);
            text.push_str(&file.content);
            let _ = writeln!(text, "\n{end}");
            stage.clear();
            let _ = writeln!(stage, ") && printf %s \"$w_text\" > \"$D\"/{path} &&");
        }
    }
    text.push_str(&stage);
    text.push_str(":\n}\n");
    text
}

/// Locks a host, stages, validates, arms the watchdog, and carries the steps out.
pub fn apply(staging: &Staging<'_>) -> Script {
    let deploy = deploy_script(staging);
    let deploy_file = StagedFile { path: "deploy.sh".to_owned(), content: Zeroizing::new(deploy) };
    let text = stage(staging.files.iter().chain([&deploy_file]));
    let checks = if staging.checks.is_empty() { ":".to_owned() } else { staging.checks.join(" &&\n") };
    let body = Zeroizing::new(format!(
        "{}TOKEN={}\nOWNER={}\nBEFORE={}\nSTEPS={}\nSECONDS_TO_CONFIRM={}\n{}w_expect() {{\n{checks}\n}}\n{APPLY}",
        ours(staging.question),
        quote(staging.token),
        quote(staging.owner),
        quote(&staging.before.digest),
        staging.steps.len(),
        staging.confirm_within,
        text.as_str(),
    ));
    // The host may work until its own watchdog stops it; after that nothing it says matters.
    let deadline = Duration::from_secs(staging.confirm_within) + ANSWER;
    Script::new("apply", &staging.before.boundary, deadline, &body)
}

/// The part that stays on the host for as long as the deploy lasts.
fn deploy_script(staging: &Staging<'_>) -> String {
    let words = |list: &[String]| quote(&list.join(" "));
    let mut text = format!(
        "B={}\nTOKEN={}\nBEFORE={}\n{}W_NEW={}\nW_OLD={}\nW_ENABLE={}\nW_DISABLE={}\n{LIB}",
        staging.before.boundary,
        quote(staging.token),
        quote(&staging.before.digest),
        ours(staging.question),
        words(staging.keep),
        words(staging.remove),
        words(staging.enable),
        words(staging.disable),
    );
    for (function, pick) in [("w_do", 0), ("w_undo", 1)] {
        let _ = writeln!(text, "{function}() {{\ncase $1 in");
        for (index, step) in staging.steps.iter().enumerate() {
            let command = if pick == 0 { &step.0 } else { &step.1 };
            let _ = writeln!(text, "{}) {command} ;;", index + 1);
        }
        let _ = writeln!(text, "esac\n}}");
    }
    text + DEPLOY
}

/// A signed head of an audit log, on its way to a host that keeps it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// The log's name: letters and digits.
    pub log: &'a str,
    /// Its six lines; empty for none.
    pub text: &'a str,
}

/// Confirms a deploy that waits on the host, and leaves a signed head of the audit log there.
pub fn commit(token: &str, before: &Fingerprint, question: &Question, head: Head<'_>) -> Script {
    decide("commit", token, "-", &before.boundary, question, head)
}

/// Asks a host for the signed heads of a log that deploys left there.
pub fn heads(log: &str) -> Script {
    Script::new("heads", &boundary(), ANSWER, &format!("LOG={}\n{HEADS}", quote(log)))
}

/// Reads the answer to [`heads`]: nothing if there are none.
pub fn read_heads(answer: &Answer) -> Option<String> {
    answer.text("heads")
}

/// Reads from the answer to [`heads`] of what other databases deploys left heads there: their random names.
pub fn read_other_logs(answer: &Answer) -> Vec<String> {
    let names = answer.text("others").unwrap_or_default();
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    names.lines().filter(is_name).map(str::to_owned).collect()
}

/// Takes a deploy that waits on the host back at once, without waiting for its watchdog.
pub fn discard(token: &str, why: &str, question: &Question) -> Script {
    decide("undo", token, why, &boundary(), question, Head::default())
}

fn decide(
    decision: &'static str,
    token: &str,
    why: &str,
    boundary: &str,
    question: &Question,
    head: Head<'_>,
) -> Script {
    let [token, why, log, text] = [token, why, head.log, head.text.trim_end()].map(quote);
    let ours = ours(question);
    let body = format!("{ours}TOKEN={token}\nDECISION={decision}\nWHY={why}\nLOG={log}\nHEAD={text}\n{COMMIT}");
    Script::new(decision, boundary, Duration::from_secs(60), &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_runs_of_a_script_that_arrives_in_part() {
        let script = observe(&Question::default(), &[]);
        let whole = script.text().to_owned();
        assert!(whole.ends_with("\nw_main </dev/null\n"));
        let calls = whole.lines().filter(|line| line.starts_with("w_main <")).count();
        assert_eq!(calls, 1);
    }

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(format!("{:?}", observe(&Question::default(), &[])), "Script(observe)");
    }
}
