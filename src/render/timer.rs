//! Timers that run the program: a service and a timer for systemd(1), or a line for crontab(5). Pure.

use serde::Serialize;

use crate::model::Name;

/// Where the passphrase lies that a timer of the whole machine needs.
pub const PASSPHRASE_FILE: &str = "/etc/wg-friend/passphrase";

/// How the first line of every unit begins, by which it is known again.
pub const MARK: &str = "# Made by wg-friend: ";

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// For the whole machine: it runs whoever is logged in, and only root installs it
    System,
    /// For who installs it: it runs while he is logged in, or always where `loginctl enable-linger` says so
    User,
}

/// What a timer runs, and when.
#[derive(Clone, Debug)]
pub struct Job {
    /// What its units are called: `backup` makes `wg-friend-backup.timer`.
    pub name: &'static str,
    /// The command that prints and installs it: `backup schedule`.
    pub made_by: &'static str,
    /// What the service does, for systemd's lists.
    pub does: &'static str,
    /// What the timer does, for systemd's lists.
    pub when: &'static str,
    /// When, in the words of systemd.time(7).
    pub calendar: &'static str,
    /// By how much that is put off at random, so that not all machines begin at once.
    pub delay: &'static str,
    /// Whether what was missed while the machine was off is made up for.
    pub makes_up: bool,
    /// When, in the five fields of crontab(5).
    pub cron: &'static str,
    /// The network, where it was named: each has a timer of its own.
    pub network: Option<Name>,
    /// The command with its own options.
    pub words: Vec<Word>,
    /// Which passphrase it needs.
    pub passphrase: Passphrase,
}

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// This text.
    Text(String),
    /// The path of the file with the passphrase.
    PassphraseFile,
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Which passphrase a job needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passphrase {
    /// That of the database.
    OfDatabase,
    /// One for backups alone, which the job's own words name.
    OfBackups,
    /// None: the database isn't encrypted.
    No,
}

/// The machine that a job runs on.
#[derive(Clone, Debug)]
pub struct Around {
    /// The path of the program.
    pub program: String,
    /// The path of the database.
    pub database: String,
    /// Who the job runs as.
    pub user: String,
    /// Where the passphrase lies that a timer of one user needs.
    pub own_passphrase_file: String,
}

/// A file of systemd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A job as units and as a line for crontab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timer {
    /// What runs.
    pub service: Unit,
    /// When.
    pub timer: Unit,
    /// The same for crontab(5).
    pub crontab: String,
    /// The file with the passphrase, which has to be there; `None` when none is needed.
    pub passphrase_file: Option<String>,
}

/// Writes a job as units, and as a line for crontab. No text in it may have a control character: [`fits`].
pub fn timer(job: &Job, scope: Scope, around: &Around) -> Timer {
    let name = match &job.network {
        Some(network) => format!("wg-friend-{}-{network}", job.name),
        None => format!("wg-friend-{}", job.name),
    };
    let needed = job.passphrase != Passphrase::No;
    let file = if scope == Scope::System { PASSPHRASE_FILE } else { around.own_passphrase_file.as_str() };
    let system = scope == Scope::System;
    // The service of the whole machine has the file as a credential, which its user needn't be able to read.
    let given = job.passphrase == Passphrase::OfDatabase && !system;
    let passphrase_file = if system { "%d/wg-friend-passphrase".to_owned() } else { for_systemd(file) };
    let command = command(job, around, given.then_some(passphrase_file.as_str()), &[], &for_systemd, &passphrase_file);
    let marker = format!("{MARK}`wg-friend {} --uninstall` removes it.", job.made_by);
    let service = super::fill(
        "timer/job.service",
        Service {
            marker: &marker,
            description: job.does,
            system,
            user: &around.user,
            credential: (needed && system).then_some(file),
            command: &format!("{}{command}", for_systemd_program(&around.program)),
        },
    );
    let timer = super::fill(
        "timer/job.timer",
        Times {
            marker: &marker,
            description: job.when,
            calendar: job.calendar,
            delay: job.delay,
            makes_up: job.makes_up,
        },
    );
    let crontab = {
        let given = (job.passphrase == Passphrase::OfDatabase).then(|| for_crontab(file));
        let command = self::command(job, around, given.as_deref(), &["--quiet"], &for_crontab, &for_crontab(file));
        format!("{} {}{command}", job.cron, for_crontab(&around.program))
    };
    Timer {
        service: Unit { name: format!("{name}.service"), text: service },
        timer: Unit { name: format!("{name}.timer"), text: timer },
        crontab,
        passphrase_file: needed.then(|| file.to_owned()),
    }
}

/// Writes what is printed of a timer of the whole machine.
pub fn page(job: &Job, timer: &Timer) -> String {
    let passphrase = match job.passphrase {
        Passphrase::OfDatabase => Some("the passphrase of the database"),
        Passphrase::OfBackups => Some("a passphrase for the backups, which nothing else opens: keep it elsewhere, too"),
        Passphrase::No => None,
    };
    super::fill(
        "timer/page.txt",
        Page {
            files: if passphrase.is_some() { "three" } else { "two" },
            install: &format!("wg-friend {} --install", job.made_by),
            service: &timer.service,
            timer: &timer.timer,
            passphrase,
            passphrase_file: timer.passphrase_file.as_deref(),
            crontab: &timer.crontab,
        },
    )
}

#[derive(Serialize)]
struct Service<'a> {
    marker: &'a str,
    description: &'a str,
    system: bool,
    user: &'a str,
    credential: Option<&'a str>,
    command: &'a str,
}

#[derive(Serialize)]
struct Times<'a> {
    marker: &'a str,
    description: &'a str,
    calendar: &'a str,
    delay: &'a str,
    makes_up: bool,
}

#[derive(Serialize)]
struct Page<'a> {
    files: &'a str,
    install: &'a str,
    service: &'a Unit,
    timer: &'a Unit,
    passphrase: Option<&'a str>,
    passphrase_file: Option<&'a str>,
    crontab: &'a str,
}

/// Writes what follows the program: `given` is the file that opens the database, quoted already, as is `passphrase_file`.
fn command(
    job: &Job,
    around: &Around,
    given: Option<&str>,
    also: &[&str],
    quoted: &dyn Fn(&str) -> String,
    passphrase_file: &str,
) -> String {
    let mut line = format!(" --db {}", quoted(&around.database));
    if let Some(network) = &job.network {
        line.push_str(&format!(" --network {}", quoted(network.as_str())));
    }
    if let Some(file) = given {
        line.push_str(&format!(" --passphrase-file {file}"));
    }
    line.push_str(" --yes");
    for word in also {
        line.push_str(&format!(" {word}"));
    }
    for word in &job.words {
        line.push(' ');
        match word {
            Word::Text(text) => line.push_str(&quoted(text)),
            Word::PassphraseFile => line.push_str(passphrase_file),
        }
    }
    line
}

/// Whether a text can stand on a line of a unit and of a crontab.
pub fn fits(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Whether a word means itself to systemd and to a shell, but for `%` and `$`.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "/._-:,@+=".contains(c))
}

/// Quotes a word for a command line of systemd.service(5), where between quotes, too, `%` begins a specifier and `$` a variable.
fn for_systemd(word: &str) -> String {
    for_systemd_program(word).replace('$', "$$")
}

/// The same for the program, in whose path no variable is looked for.
fn for_systemd_program(word: &str) -> String {
    if is_plain(word) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

/// Quotes a word for a line of crontab(5): for the shell, and for cron itself, which takes `%` for the end of the line, even
/// between quotes, unless a backslash stands before it.
///
/// Some crons take two backslashes for one, and some don't: so none ever follows another, nor stands before a `%` that was
/// meant with it.
fn for_crontab(word: &str) -> String {
    if is_plain(word) {
        return word.to_owned();
    }
    let mut quoted = String::from("'");
    for c in word.chars() {
        match c {
            '\'' => quoted.push_str("'\"'\"'"),
            '%' => quoted.push_str("\\%"),
            '\\' => quoted.push_str("\\''"), // the quotes end and begin again behind it
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(words: &[&str]) -> Job {
        Job {
            name: "backup",
            made_by: "backup schedule",
            does: "Back up",
            when: "Back up every day",
            calendar: "*-*-* 03:00",
            delay: "30min",
            makes_up: true,
            cron: "0 3 * * *",
            network: None,
            words: words.iter().map(|word| Word::from(*word)).collect(),
            passphrase: Passphrase::OfDatabase,
        }
    }

    fn around(database: &str) -> Around {
        Around {
            program: "/usr/local/bin/wg-friend".to_owned(),
            database: database.to_owned(),
            user: "admin".to_owned(),
            own_passphrase_file: "/home/admin/.config/wg-friend/passphrase".to_owned(),
        }
    }

    fn exec_start(timer: &Timer) -> &str {
        timer.service.text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap()
    }

    #[test]
    fn a_timer_of_the_whole_machine_gets_the_passphrase_as_a_credential() {
        let job = Job { network: Some("lab".parse().unwrap()), ..job(&["backup", "create"]) };
        let timer = timer(&job, Scope::System, &around("/srv/net.db"));
        insta::assert_snapshot!(page(&job, &timer), @"
        # For systemd: three files, then `systemctl daemon-reload && systemctl enable --now wg-friend-backup-lab.timer`.
        # `wg-friend backup schedule --install` does that, as root or for yourself.

        # /etc/systemd/system/wg-friend-backup-lab.service
        # Made by wg-friend: `wg-friend backup schedule --uninstall` removes it.
        [Unit]
        Description=Back up
        Wants=network-online.target
        After=network-online.target

        [Service]
        Type=oneshot
        User=admin
        # The passphrase, readable by root only; see systemd.exec(5).
        LoadCredential=wg-friend-passphrase:/etc/wg-friend/passphrase
        ExecStart=/usr/local/bin/wg-friend --db /srv/net.db --network lab --yes backup create

        # /etc/systemd/system/wg-friend-backup-lab.timer
        # Made by wg-friend: `wg-friend backup schedule --uninstall` removes it.
        [Unit]
        Description=Back up every day

        [Timer]
        OnCalendar=*-*-* 03:00
        RandomizedDelaySec=30min
        # A machine that was off at that time makes up for it.
        Persistent=true

        [Install]
        WantedBy=timers.target

        # /etc/wg-friend/passphrase, mode 0600: the passphrase of the database, on one line.

        # Or a line for crontab(5), with the passphrase in a file that only you can read:
        # 0 3 * * * /usr/local/bin/wg-friend --db /srv/net.db --network lab --passphrase-file /etc/wg-friend/passphrase --yes --quiet backup create
        ");
    }

    #[test]
    fn a_timer_of_ones_own_reads_the_passphrase_from_a_file_of_ones_own() {
        let timer = timer(&job(&["sync"]), Scope::User, &around("/srv/net.db"));
        insta::assert_snapshot!(timer.service.text, @"
        # Made by wg-friend: `wg-friend backup schedule --uninstall` removes it.
        [Unit]
        Description=Back up

        [Service]
        Type=oneshot
        ExecStart=/usr/local/bin/wg-friend --db /srv/net.db --passphrase-file /home/admin/.config/wg-friend/passphrase --yes sync
        ");
    }

    #[test]
    fn a_database_without_encryption_needs_no_passphrase() {
        let job = Job { passphrase: Passphrase::No, ..job(&["sync"]) };
        let timer = timer(&job, Scope::System, &around("/srv/net.db"));
        assert_eq!(timer.passphrase_file, None);
        assert!(!page(&job, &timer).contains("passphrase"), "{}", page(&job, &timer));
    }

    #[test]
    fn a_passphrase_of_the_backups_own_is_a_word_of_the_command() {
        let mut job = Job { passphrase: Passphrase::OfBackups, ..job(&["backup", "create", "--own-passphrase-file"]) };
        job.words.push(Word::PassphraseFile);
        let timer = timer(&job, Scope::System, &around("/srv/net.db"));
        assert!(exec_start(&timer).ends_with(" --yes backup create --own-passphrase-file %d/wg-friend-passphrase"));
        assert!(timer.crontab.ends_with(" --quiet backup create --own-passphrase-file /etc/wg-friend/passphrase"));
    }

    /// Reads words as systemd does: quotes, backslashes, specifiers and variables.
    fn as_systemd(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            let doubled = chars.peek() == Some(&c);
            match c {
                ' ' if !quoted => words.extend(word.take()),
                '"' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                '\\' => word.get_or_insert_default().push(chars.next().unwrap()),
                '%' | '$' => {
                    assert!(doubled, "{c} alone means something: {line}");
                    word.get_or_insert_default().push(chars.next().unwrap());
                }
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// Reads a line as cron does before a shell gets it. Crons differ in whether two backslashes are one.
    fn as_cron(line: &str, backslashes: bool) -> String {
        let (mut text, mut chars) = (String::new(), line.chars());
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('%') => text.push('%'),
                    Some('\\') if backslashes => text.push('\\'),
                    Some(other) => text.extend(['\\', other]),
                    None => text.push('\\'),
                },
                '%' => panic!("the line ends here for cron: {line}"),
                c => text.push(c),
            }
        }
        text
    }

    proptest! {
        #[test]
        fn whatever_a_path_is_called_systemd_and_cron_pass_it_on_as_it_is(
            database in "/([ -~]|[äöü€]){0,12}[\\\\%$'\" ]{0,4}[a-z]{0,2}", place in "[\\\\%$'\"; &|*a-z~#!`]{0,10}",
        ) {
            let words = ["backup", "create", "--to", &place];
            let timer = timer(&job(&words), Scope::System, &around(&database));
            let expected = ["--db", &database, "--yes", "backup", "create", "--to", &place];
            prop_assert_eq!(&as_systemd(exec_start(&timer))[1..], &expected[..]);
            for backslashes in [false, true] {
                let line = as_cron(timer.crontab.strip_prefix("0 3 * * * ").unwrap(), backslashes);
                let words = shlex::split(&line).unwrap_or_default();
                let expected = [
                    "/usr/local/bin/wg-friend", "--db", &database, "--passphrase-file", PASSPHRASE_FILE, "--yes", "--quiet",
                    "backup", "create", "--to", &place,
                ];
                prop_assert_eq!(words, &expected[..], "{}", line);
            }
        }
    }

    #[test]
    fn a_text_that_does_not_fit_on_a_line_is_known() {
        assert!(fits("/srv/a b'c%.db") && !fits("/srv/a\nb") && !fits("/srv/a\u{7f}"));
    }
}
