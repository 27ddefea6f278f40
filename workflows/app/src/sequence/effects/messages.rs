//! What goes to people: an e-mail to the person, a task to somebody here.

use super::{Acted, Acting, Made};
use crate::Result;
use crate::email::plan_email;
use tandem_domain::email::{Draft, Mailbox};
use tandem_domain::sequence::steps::create_task::PlannedTask;
use tandem_domain::sequence::steps::send_email::{Address, PlannedEmail};
use tandem_domain::work_item::{NewTask, make_task};

fn mailbox(address: &Address) -> Mailbox {
    Mailbox { name: address.name.clone(), address: address.address.clone() }
}

impl Acting<'_> {
    pub(super) async fn send_email(&self, planned: &PlannedEmail) -> Result<Acted> {
        let (env, contact) = (self.env, &self.subject.contact);
        let draft = Draft {
            id: env.id(self.now),
            origin: (Some(planned.enrollment), planned.step.clone(), planned.visit),
            contact: planned.contact,
            lead: planned.lead,
            account: planned.account,
            to: Mailbox { name: contact.name.clone(), address: contact.email.clone().unwrap_or_default() },
            from: planned.from.as_ref().map_or_else(|| env.mail.from.clone(), mailbox),
            reply_to: planned.reply_to.as_ref().map(mailbox).or_else(|| env.mail.reply_to.clone()),
            subject: planned.subject.clone(),
            text: planned.text.clone(),
            html: planned.html.clone(),
            hours: self.hours.clone().filter(|_| !planned.transactional),
            transactional: planned.transactional,
            mailbox: planned.mailbox,
        };
        let email = plan_email(self.tx, draft, self.now).await?;
        Ok(Acted::of(email.map(|email| Made { email: Some(email), ..Made::default() })))
    }

    pub(super) async fn create_task(&self, planned: &PlannedTask) -> Result<Acted> {
        let task = NewTask {
            id: self.env.id(self.now),
            lead: planned.lead,
            contact: planned.contact,
            account: planned.account,
            title: planned.title.clone(),
            team: self.team(planned.team.as_deref()).await?,
            priority: planned.priority,
            grade: self.subject.lead.as_ref().and_then(|lead| lead.grade),
            due_at: planned.due_at,
            notes: planned.notes.clone(),
            made_by: Some((planned.enrollment, planned.visit)),
            channel: planned.channel,
        };
        let task = make_task(task, self.now)?;
        Ok(Acted::of(task.map(|task| Made { items: vec![task], ..Made::default() })))
    }
}
