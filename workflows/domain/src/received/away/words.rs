//! The words of people who are away, in small letters.

/// Words by which an automatic answer says that the person is away, in small letters.
pub(super) const AWAY: [&str; 45] = [
    "automatische antwort",
    "automatisch antwoord",
    "réponse automatique",
    "respuesta automática",
    "risposta automatica",
    "resposta automática",
    "自动回复",
    "out of office",
    "out-of-office",
    "out of the office",
    "automatic reply",
    "away from",
    "i am away",
    "i'm away",
    "on vacation",
    "on holiday",
    "on leave",
    "annual leave",
    "parental leave",
    "travelling",
    "traveling",
    "limited access to",
    "abwesen",
    "nicht im büro",
    "nicht im haus",
    "im urlaub",
    "absence",
    "absent",
    "en congé",
    "en vacances",
    "fuera de la oficina",
    "ausente",
    "de vacaciones",
    "fuori sede",
    "fuori ufficio",
    "in ferie",
    "de férias",
    "fora do escritório",
    "afwezig",
    "休假",
    "外出",
    "出差",
    "年假",
    "不在办公室",
    "请假",
];

/// What stands before the first day back.
pub(super) const BACK: [&str; 17] = [
    "back",
    "return",
    "resume",
    "zurück",
    "wieder",
    "retour",
    "regres",
    "vuelv",
    "vuelta",
    "torn",
    "rientr",
    "volt",
    "terug",
    "available again",
    "available from",
    "ab dem",
    "erreichbar ab",
];
/// What stands after the first day back, as Chinese has it.
pub(super) const BACK_AFTER: [&str; 7] = ["回来", "返回", "恢复", "上班", "回到", "复工", "回办公"];
/// What stands before the first day away, where one of [`HOLIDAY`] stands after it.
pub(super) const FROM: [&str; 6] = ["from", "starting", "ab ", "à partir", "a partir", "dal "];
/// What somebody is who is away.
pub(super) const HOLIDAY: [&str; 12] = [
    "urlaub",
    "abwesen",
    "vacation",
    "holiday",
    "on leave",
    "out of",
    "away",
    "vacances",
    "congé",
    "ferie",
    "vacaciones",
    "休假",
];
/// What stands before the last day away.
pub(super) const UNTIL: [&str; 17] = [
    "until", "till", "through", "thru", "–", "—", " - ", "bis", "jusqu", "hasta", "fino", "até", "tot", "t/m", "至",
    "到", "截止",
];
/// What may stand before the last day away, and before a place: "to the 7th", "to the office on the 7th". It is about the day
/// where nothing but a weekday or one of [`BEFORE_A_DAY`] stands between.
pub(super) const UNTIL_OR_PLACE: [&str; 3] = [" to ", " au ", " al "];
/// What stands between such a word and the day, word by word.
pub(super) const BEFORE_A_DAY: &str = "the and including inclusive incl about le el il de del día";
/// Where "absence" is said of something else than a person, in acknowledgements.
pub(super) const NO_ABSENCE: [&str; 4] =
    ["in the absence of", "in absence of", "en l'absence d", "en cas d'absence de"];

/// The names of the weekdays.
pub(super) const WEEKDAYS: &str = "monday tuesday wednesday thursday friday saturday sunday \
    montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag \
    lundi mardi mercredi jeudi vendredi samedi dimanche \
    lunes martes miércoles jueves viernes sábado domingo \
    lunedì martedì mercoledì giovedì venerdì sabato domenica \
    segunda terça quarta quinta sexta feira domingo \
    maandag dinsdag woensdag donderdag vrijdag zaterdag zondag";
/// How they are shortened, with a full stop or without.
pub(super) const SHORT_WEEKDAYS: &str = "mon tue tues wed thu thur thurs fri sat sun \
    mo di mi do fr sa so lun mar mer jeu ven sam dim mié mie jue vie sáb sab dom gio seg ter qua qui sex \
    ma wo vr za zo";
