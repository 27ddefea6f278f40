use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn the_first_day_back_is_read_as_people_write_it() {
    let today = day("2026-11-22");
    for (text, back) in [
        ("I am out of the office until 3 December 2026 with limited access to e-mail.", "2026-12-04"),
        ("I will be back on December 3rd.", "2026-12-03"),
        ("I'm on vacation from Nov 20 to Nov 30, 2026.", "2026-12-01"),
        ("Returning 2026-12-07. For urgent matters call +49 30 1234567.", "2026-12-07"),
        ("Ich bin bis zum 3.12.2026 nicht im Büro.", "2026-12-04"),
        ("Ich bin vom 23.11. bis 27.11. abwesend und ab dem 30. November wieder erreichbar.", "2026-11-30"),
        ("Je suis absent jusqu'au 4 décembre inclus.", "2026-12-07"),
        ("Ich bin vom 25.11. bis 27.11.2026 im Urlaub.", "2026-11-30"),
        ("De retour le 7 décembre.", "2026-12-07"),
        ("Estaré fuera de la oficina hasta el 9 de diciembre de 2026.", "2026-12-10"),
        ("本人休假至2026年12月3日,12月4日上班。", "2026-12-04"),
        ("我正在出差,12月1日返回公司。", "2026-12-01"),
        ("Out until 12/03/2026.", "2026-12-04"),
        ("Out until 3/12.", "2026-12-04"),
        ("Ausente hasta el martes 3/12.", "2026-12-04"),
        ("Absente jusqu'au mardi 3/12.", "2026-12-04"),
        ("Vuelvo el 7 de enero.", "2027-01-07"),
        ("In ferie fino al 6 gennaio.", "2027-01-07"),
        ("Estou ausente até 2 de janeiro de 2027.", "2027-01-04"),
        ("Ik ben afwezig tot 4 december.", "2026-12-07"),
        ("Until 3 December.\nOn 1 Nov 2026, Tandem wrote:\n> we are back with news on 20 February", "2026-12-04"),
        ("I am out until 3 December. My colleague Bob is back on 1 May.", "2026-12-04"),
        ("Out from 12-20-2026 to 12-31-2026.", "2027-01-01"),
        ("I am away until January 5.", "2027-01-06"),
        ("Back on 11/30", "2026-11-30"),
        // Where somebody returns to is not until when.
        ("I will return to the office on 7 December.", "2026-12-07"),
        ("I'll be back to work on 7 December.", "2026-12-07"),
        ("Returning from vacation to the office on 7 December.", "2026-12-07"),
        ("De retour au bureau le 7 décembre.", "2026-12-07"),
        ("Regreso al trabajo el 7 de diciembre.", "2026-12-07"),
        ("Torno al lavoro il 7 dicembre.", "2026-12-07"),
        ("I am back from 7 December, after my vacation.", "2026-12-07"),
        ("Je serai de retour à partir du 7 décembre.", "2026-12-07"),
        ("Out from Monday, 23 November to Friday, 4 December.", "2026-12-07"),
        ("Estoy de vacaciones del 23 de noviembre al viernes 4 de diciembre.", "2026-12-07"),
        // The second of two dates is not what "from" is about.
        ("From 23 November until 18 December I will be out of the office.", "2026-12-21"),
        ("From 30 November to 18 December I am on vacation.", "2026-12-21"),
        ("À partir du 23 novembre jusqu'au 18 décembre, en congé.", "2026-12-21"),
        ("Dal 23 novembre al 18 dicembre sono in ferie.", "2026-12-21"),
        // A shortened weekday or month ends no sentence.
        ("I'm back on Mon. 7 December.", "2026-12-07"),
        ("Ich bin zurück am Mo. 07.12.2026.", "2026-12-07"),
        ("Out from 3 Dec. to Fri. 11 Dec. 2026", "2026-12-14"),
        ("Je serai absent jusqu’au ven. 4 décembre", "2026-12-07"),
        // What introduces a quotation has a date of its own.
        ("Back on 7 December.\n\nOn Tue, 1 Dec 2026 at 10:00, Sales <sales@example.com>\nwrote:\n\n> Hi", "2026-12-07"),
    ] {
        let found = back_on("Automatic reply: Hello", text, today);
        assert_eq!(found.map(|found| found.date), Some(day(back)), "{text}");
    }
}

#[test]
fn what_is_no_return_is_not_guessed() {
    let today = day("2026-11-22");
    for text in [
        "I am out of the office and will answer when I am back.",
        "We have received your message, ticket 2026-4711.",
        "I left on 3 January 2019.",
        "Back on 31 February.",
        "Our office moves in 2028-05-01.",
        "Call me on 0171/1234567 or 12.",
        "I am out of the office until Monday. Support is available 24/7.",
        "I'm away. Office hours 9-5.",
        "Out for the rest of the week, market 12.",
        "Ich bin ab dem 30.11.2026 im Urlaub.",
        "From 30 November I am on vacation.",
        "I am away.\n\nOn Tue, 1 Dec 2026, Sales <sales@example.com>\nwrote:\n\n> Hi",
        "I am away.\n\nAm Di., 1. Dez. 2026 um 10:00 Uhr schrieb Sales <sales@example.com>:\n> Hi",
        "I am away.\n\nAm Di., 1. Dez. 2026 um 10:00 Uhr schrieb Sales\n<sales@example.com>:\n> Hi",
        "I am away.\n\nLe mar. 1 déc. 2026 à 10:00, Sales <sales@example.com> a\nécrit :\n> Hi",
        "",
    ] {
        assert_eq!(back_on("", text, today), None, "{text}");
    }
}

#[test]
fn a_return_that_is_past_is_told_from_none() {
    let today = day("2026-11-22");
    let found = back_on("", "I am out of the office and back on 20 November.", today);
    assert_eq!(found, Some(Back { date: day("2026-11-20"), is_return: true }));
}

#[test]
fn every_name_of_a_month_is_read() {
    for (place, names) in MONTHS.iter().enumerate() {
        for name in *names {
            let text = format!("Back on 3 {name} 2027");
            let today = NaiveDate::from_ymd_opt(2027, u32::try_from(place).unwrap() + 1, 1).unwrap();
            let found = back_on("", &text, today).map(|found| found.date);
            assert_eq!(found, NaiveDate::from_ymd_opt(2027, u32::try_from(place).unwrap() + 1, 3), "{text}");
        }
    }
}

#[test]
fn an_acknowledgement_is_not_an_absence() {
    assert!(says_so("Automatic reply: Your demo", ""));
    assert!(says_so("", "我正在休假"));
    assert!(!says_so("We have received your request", "A colleague will answer soon."));
    assert!(says_so("", "In my absence, please write to a colleague."));
    for text in [
        "In the absence of a reply we close the ticket.",
        "En l’absence de réponse, nous fermons le ticket.",
        "We got your message.\n\n> If you are travelling, or on vacation",
        "We got your message.\n\nOn Tue, 1 Dec 2026, Sales <sales@example.com>\nwrote:\n\nIf you are travelling",
        "We got your message.\n\n-----Original Message-----\nAre you on leave?",
    ] {
        assert!(!says_so("We have received your request", text), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_stumble(text in "\\PC{0,200}", day in 0_i32..100_000) {
        let today = NaiveDate::from_num_days_from_ce_opt(700_000 + day).unwrap();
        if let Some(back) = back_on("", &text, today) {
            proptest::prop_assert!(back.date <= today + Days::new(FURTHEST_DAYS));
        }
    }
}

#[test]
fn what_somebody_writes_about_writing_is_not_what_introduces_a_quotation() {
    for text in [
        "on 3 december i am back.\n\nsales wrote to me",
        "as described: nobody is here",
        "wir haben beschrieben, was zu tun ist:\nback soon",
    ] {
        assert_eq!(own::own_words(text), text);
    }
    assert_eq!(own::own_words("here.\nsales wrote:\nwhat"), "here.\n");
    assert_eq!(own::own_words("here.\n\non 3 dec,\nsales\nwrote:\nwhat"), "here.\n\n");
    assert_eq!(own::own_words("> what\nhere."), "");
}
