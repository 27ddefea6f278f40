use super::layers::leaves;
use super::*;
use std::collections::BTreeSet;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn from_file(text: &str) -> Result<Settings, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tandem.toml");
    std::fs::write(&path, text).unwrap();
    Settings::load(Some(&path), [])
}

#[test]
fn the_defaults_hold_every_key_of_the_structs_and_no_other() {
    let in_file: BTreeSet<_> = leaves(&DEFAULTS.parse().unwrap()).into_iter().map(|(key, _)| key).collect();
    let typed = toml::Value::try_from(Settings::defaults().unwrap()).unwrap();
    let in_structs: BTreeSet<_> = leaves(typed.as_table().unwrap()).into_iter().map(|(key, _)| key).collect();
    assert_eq!(in_file, in_structs);
}

#[test]
fn every_default_is_explained_by_a_comment_above_it() {
    let mut previous = "";
    for line in DEFAULTS.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(previous.starts_with('#'), "no comment above: {line}");
        }
        previous = line;
    }
}

#[test]
fn the_shipped_files_hold_only_known_keys() {
    for text in
        [include_str!("../../../config/development.toml"), include_str!("../../../config/production.example.toml")]
    {
        let mut layers = Layers::new(DEFAULTS).unwrap();
        layers.file(Path::new("shipped"), text).unwrap();
    }
}

#[test]
fn an_unknown_key_of_a_file_is_refused_with_its_line_and_the_nearest_key() {
    let message = from_file("[server]\ngraphiql = false\nlisten_adress = \"x\"\n").unwrap_err().to_string();
    assert!(message.contains("tandem.toml, line 3"), "{message}");
    assert!(message.contains("`server.listen_adress`"), "{message}");
    let message = from_file("[server]\nlisen = \"x\"\n").unwrap_err().to_string();
    assert!(message.contains("did you mean `server.listen`?"), "{message}");
}

#[test]
fn a_misspelt_section_is_refused_even_when_it_is_empty() {
    let message = from_file("[sever]\nlisten = \"127.0.0.1:1\"\n").unwrap_err().to_string();
    assert!(message.contains("did you mean `server.listen`?"), "{message}");
    assert!(from_file("[sever]\n").unwrap_err().to_string().contains("`sever`"));
    assert!(from_file("[server]\n").is_ok());
}

#[test]
fn a_known_key_in_a_wrong_section_names_its_section() {
    let message = from_file("[jobs]\nmax_connections = 3\n").unwrap_err().to_string();
    assert!(message.contains("did you mean `database.max_connections`?"), "{message}");
}

#[test]
fn an_unknown_variable_is_refused_with_the_nearest_variable() {
    let message = Settings::load(None, variables(&[("TANDEM__SERVER__LISTN", "x")])).unwrap_err().to_string();
    assert!(message.contains("the environment variable TANDEM__SERVER__LISTN"), "{message}");
    assert!(message.contains("`TANDEM__SERVER__LISTEN`"), "{message}");
}

#[test]
fn a_variable_is_typed_by_its_default_and_wins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tandem.toml");
    std::fs::write(&path, "[jobs]\nconcurrency = 2\n[server]\ngraphiql = false\n").unwrap();
    let settings = Settings::load(
        Some(&path),
        variables(&[("TANDEM__JOBS__CONCURRENCY", "3"), ("TANDEM__SMTP__USER", "007"), ("PATH", "/bin")]),
    )
    .unwrap();
    assert_eq!(settings.jobs.concurrency.get(), 3);
    assert_eq!(settings.smtp.user, "007");
    assert!(!settings.server.graphiql);
    let message = Settings::load(None, variables(&[("TANDEM__JOBS__WORKERS", "maybe")])).unwrap_err().to_string();
    assert!(message.ends_with("`jobs.workers` must be true or false"), "{message}");
}

#[test]
fn a_value_of_a_wrong_type_or_range_is_refused_by_name() {
    let message = from_file("[jobs]\nconcurrency = \"many\"\n").unwrap_err().to_string();
    assert!(message.ends_with("line 2: `jobs.concurrency` must be a whole number"), "{message}");
    let message = from_file("[jobs]\nconcurrency = 0\n").unwrap_err().to_string();
    assert!(message.contains("`jobs.concurrency`"), "{message}");
    let message = from_file("[log]\nformat = \"xml\"\n").unwrap_err().to_string();
    assert!(message.contains("`log.format`") && message.contains("json"), "{message}");
}

#[test]
fn every_duration_has_an_end_and_the_refusal_names_key_and_range() {
    let units = ["_ms", "_seconds", "_minutes", "_hours", "_days"];
    let mut found = 0;
    for (key, _) in leaves(&DEFAULTS.parse().unwrap()) {
        if units.iter().any(|unit| key.ends_with(unit)) {
            let (section, name) = key.split_once('.').unwrap();
            let message = from_file(&format!("[{section}]\n{name} = 4294967295\n")).unwrap_err().to_string();
            assert!(message.starts_with(&format!("the setting `{key}` must be ")), "{message}");
            found += 1;
        }
    }
    assert_eq!(found, Settings::defaults().unwrap().durations().len());
    let message = from_file("[queue]\nlongest_wait_days = 3651\n").unwrap_err().to_string();
    assert_eq!(message, "the setting `queue.longest_wait_days` must be 1 to 3650 days, not 3651");
    assert!(from_file("[queue]\nlongest_wait_days = 3650\nclaim_lease_minutes = 525600\n").is_ok());
    assert!(from_file("[leads]\ntriage_hours = 87600\n[server]\nshutdown_grace_seconds = 0\n").is_ok());
}

#[test]
fn an_attempt_is_longer_than_an_email_may_take() {
    let text = |attempt: u32| {
        format!("[smtp]\nhost = \"mail.example\"\nfrom = \"a@example.com\"\n[jobs]\nattempt_seconds = {attempt}\n")
    };
    let message = from_file(&text(885)).unwrap_err().to_string();
    assert!(message.starts_with("the setting `jobs.attempt_seconds` must be longer than the 885 s"), "{message}");
    assert!(from_file(&text(886)).is_ok());
    assert!(from_file("[jobs]\nattempt_seconds = 1\n").is_ok(), "nothing is sent");
}

#[test]
fn an_attempt_is_longer_than_a_look_into_the_mailbox() {
    let with = |command: u32| {
        let imap = format!("host = \"mail.example\"\nuser = \"answers\"\ncommand_timeout_seconds = {command}\n");
        from_file(&format!("[imap]\n{imap}[jobs]\nattempt_seconds = 900\n"))
    };
    let message = with(300).unwrap_err().to_string();
    assert!(message.starts_with("the setting `jobs.attempt_seconds` must be longer than the 3015 s"), "{message}");
    assert!(with(88).is_ok() && with(89).is_err());
    assert!(from_file("[imap]\ncommand_timeout_seconds = 300\n").is_ok(), "there is no mailbox");
}

#[test]
fn a_secret_is_read_from_its_file_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "hunter2hunter2\n").unwrap();
    let place = format!("file:{}", path.display());
    let settings = Settings::load(
        None,
        variables(&[
            ("TANDEM__SMTP__PASSWORD", &place),
            ("TANDEM__DATABASE__URL", "postgres://tandem:hunter2hunter2@localhost/tandem"),
        ]),
    )
    .unwrap();
    assert_eq!(settings.smtp.password.reveal(), "hunter2hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(!toml::to_string(&settings).unwrap().contains("hunter2"));
    let missing = Settings::load(None, variables(&[("TANDEM__SMTP__PASSWORD", "file:/nowhere/at/all")]));
    assert!(missing.unwrap_err().to_string().contains("the setting `smtp.password`"));
}

#[test]
fn a_wrong_database_url_is_refused_without_repeating_it() {
    let message = Settings::load(None, variables(&[("TANDEM__DATABASE__URL", "mysql://u:hunter2@h/d")])).unwrap_err();
    assert!(!message.to_string().contains("hunter2"));
}
