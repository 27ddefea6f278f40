//! The closed set of stable codes, by family.

use async_graphql::Enum;

macro_rules! user_error_codes {
    ($($(#[$meta:meta])* $variant:ident = $code:literal),+ $(,)?) => {
        /// The stable codes of what a caller can mend.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
        pub enum UserErrorCode { $($(#[$meta])* #[graphql(name = $code)] $variant),+ }

        impl UserErrorCode {
            /// Every code.
            #[cfg(test)]
            pub const ALL: &'static [&'static str] = &[$($code),+];

            pub(crate) fn of(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

user_error_codes! {
    /// There is nothing with this id.
    NotFound = "NOT_FOUND",
    /// This is no id, or the id of something else.
    IdInvalid = "ID_INVALID",
    /// Somebody else changed this at the same moment, again and again: read again and retry.
    Conflict = "CONFLICT",
    /// This exists already.
    Duplicate = "DUPLICATE",
    /// The idempotency key was used for another input.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT",
    /// An idempotency key is 1 to 200 printable characters.
    IdempotencyKeyInvalid = "IDEMPOTENCY_KEY_INVALID",
    /// A code that is not in its closed set.
    UnknownCode = "UNKNOWN_CODE",
    // access
    /// The time zone is not in the IANA database.
    TimeZoneUnknown = "TIME_ZONE_UNKNOWN",
    /// The token ended.
    TokenExpired = "TOKEN_EXPIRED",
    /// The token was revoked.
    TokenRevoked = "TOKEN_REVOKED",
    /// The user may not act any more.
    UserInactive = "USER_INACTIVE",
    /// The user lacks the role.
    RoleNotHeld = "ROLE_NOT_HELD",
    /// The role works on the other side.
    SideMismatch = "SIDE_MISMATCH",
    /// A user without a role could do nothing.
    UserWithoutRole = "USER_WITHOUT_ROLE",
    /// The token would end in the past.
    TokenExpiryPassed = "TOKEN_EXPIRY_PASSED",
    // target-account lists
    /// The key of a list has another form.
    ListBadKey = "LIST_BAD_KEY",
    /// Another list has this key.
    ListKeyTaken = "LIST_KEY_TAKEN",
    /// A list needs a name of 1 to 120 characters.
    ListBadName = "LIST_BAD_NAME",
    /// The life of change requests is out of range.
    ListBadRequestDays = "LIST_BAD_REQUEST_DAYS",
    /// The length of suspensions is out of range.
    ListBadSuspensionHours = "LIST_BAD_SUSPENSION_HOURS",
    /// Nothing was named.
    ListEmptyCommand = "LIST_EMPTY_COMMAND",
    /// Too many accounts or requests for one command.
    ListTooMany = "LIST_TOO_MANY",
    /// An account is named twice.
    ListAccountTwice = "LIST_ACCOUNT_TWICE",
    /// A request is named twice.
    ListRequestTwice = "LIST_REQUEST_TWICE",
    /// The request belongs to another list.
    ListOtherList = "LIST_OTHER_LIST",
    /// A change needs a reason.
    ListNoReason = "LIST_NO_REASON",
    /// The evidence is too much, too long, or its address is none.
    ListBadEvidence = "LIST_BAD_EVIDENCE",
    /// Too many words.
    ListTextTooLong = "LIST_TEXT_TOO_LONG",
    /// The tier is missing.
    ListNoTier = "LIST_NO_TIER",
    /// A removal takes no tier.
    ListTierNotWanted = "LIST_TIER_NOT_WANTED",
    /// The account has this tier already.
    ListSameTier = "LIST_SAME_TIER",
    /// The account is on the list.
    ListAlreadyListed = "LIST_ALREADY_LISTED",
    /// The account is not on the list.
    ListNotListed = "LIST_NOT_LISTED",
    /// Another request about the account is open.
    ListRequestOpen = "LIST_REQUEST_OPEN",
    /// The account is suspended.
    ListSuspended = "LIST_SUSPENDED",
    /// The account is not active.
    ListNotActive = "LIST_NOT_ACTIVE",
    /// The account is not suspended.
    ListNotSuspended = "LIST_NOT_SUSPENDED",
    /// The suspension is permanent already.
    ListAlreadyPermanent = "LIST_ALREADY_PERMANENT",
    /// The suspension has run out.
    ListSuspensionOver = "LIST_SUSPENSION_OVER",
    /// The suspension would end too late or in the past.
    ListBadSuspensionEnd = "LIST_BAD_SUSPENSION_END",
    /// The request was decided before.
    ListRequestClosed = "LIST_REQUEST_CLOSED",
    /// The request ran out.
    ListRequestExpired = "LIST_REQUEST_EXPIRED",
    /// It was changed since it was read.
    ListStaleRevision = "LIST_STALE_REVISION",
    /// The caller holds no key.
    ListNoSide = "LIST_NO_SIDE",
    /// The key of this side has been turned.
    ListSameSide = "LIST_SAME_SIDE",
    /// The caller has turned the other side's key.
    ListSamePerson = "LIST_SAME_PERSON",
    /// The proposer cannot approve for the other side.
    ListProposerOtherSide = "LIST_PROPOSER_OTHER_SIDE",
    /// Nobody rejects an own proposal.
    ListOwnRequest = "LIST_OWN_REQUEST",
    /// Only the proposer's side withdraws a proposal.
    ListNotProposer = "LIST_NOT_PROPOSER",
    // leads
    /// The source already gave another lead this id.
    LeadExists = "LEAD_EXISTS",
    /// A lead needs a source of 1 to 80 characters.
    LeadSourceInvalid = "LEAD_SOURCE_INVALID",
    /// The id of a lead where it came from has 1 to 200 characters.
    LeadExternalIdInvalid = "LEAD_EXTERNAL_ID_INVALID",
    /// A priority is 0 to 100.
    LeadPriorityOutOfRange = "LEAD_PRIORITY_OUT_OF_RANGE",
    /// A grade is `A1` to `D4`.
    LeadGradeInvalid = "LEAD_GRADE_INVALID",
    /// The lead's stage does not allow this step.
    LeadMoveNotAllowed = "LEAD_MOVE_NOT_ALLOWED",
    /// The lead's life is over.
    LeadEnded = "LEAD_ENDED",
    /// The moment has passed.
    LeadDuePassed = "LEAD_DUE_PASSED",
    /// A lead cannot repeat itself.
    LeadDuplicateOfItself = "LEAD_DUPLICATE_OF_ITSELF",
    /// An end needs a reason.
    LeadReasonMissing = "LEAD_REASON_MISSING",
    // the SDR queue
    /// Nothing waits in the caller's queue.
    QueueEmpty = "QUEUE_EMPTY",
    /// The claim that the token stands for is over, or was never the caller's.
    WorkItemStaleToken = "WORK_ITEM_STALE_TOKEN",
    /// Somebody holds the item.
    WorkItemHeld = "WORK_ITEM_HELD",
    /// The item's state does not allow this step.
    WorkItemMoveNotAllowed = "WORK_ITEM_MOVE_NOT_ALLOWED",
    /// The wait would end in the past or too late.
    WorkItemWaitOutOfRange = "WORK_ITEM_WAIT_OUT_OF_RANGE",
    /// The item is of another kind.
    WorkItemWrongKind = "WORK_ITEM_WRONG_KIND",
    /// A title has 1 to 200 characters.
    WorkItemTitleInvalid = "WORK_ITEM_TITLE_INVALID",
    /// Required items of the checklist are not confirmed.
    VerificationIncomplete = "VERIFICATION_INCOMPLETE",
    /// The checklist has no such item.
    VerificationUnknownItem = "VERIFICATION_UNKNOWN_ITEM",
    /// The reason does not go with this disposition.
    VerificationReasonNotForThis = "VERIFICATION_REASON_NOT_FOR_THIS",
    /// The item does not belong to the lead.
    VerificationMismatch = "VERIFICATION_MISMATCH",
    /// Not one answer was given.
    VerificationNoAnswer = "VERIFICATION_NO_ANSWER",
    // e-mail
    /// A line break or control character in a header.
    EmailLineBreak = "EMAIL_LINE_BREAK",
    /// The subject is empty.
    EmailSubjectEmpty = "EMAIL_SUBJECT_EMPTY",
    /// The plain text is empty.
    EmailTextEmpty = "EMAIL_TEXT_EMPTY",
    /// This is no e-mail address.
    EmailNotAnAddress = "EMAIL_NOT_AN_ADDRESS",
    /// The contact has no address.
    EmailNoAddress = "EMAIL_NO_ADDRESS",
    /// Nothing may be sent to this person.
    EmailMayNotWrite = "EMAIL_MAY_NOT_WRITE",
    /// The e-mail does not wait for a try.
    EmailNotWaiting = "EMAIL_NOT_WAITING",
    /// The outcome belongs to another try.
    EmailNotSending = "EMAIL_NOT_SENDING",
    /// Only an e-mail of unknown fate can be resolved.
    EmailNotUnknown = "EMAIL_NOT_UNKNOWN",
    /// This is no e-mail address.
    SuppressionNotAnAddress = "SUPPRESSION_NOT_AN_ADDRESS",
    /// This is no domain.
    SuppressionNotADomain = "SUPPRESSION_NOT_A_DOMAIN",
    /// It is suppressed already.
    SuppressionExists = "SUPPRESSION_EXISTS",
    /// The suppression was lifted before.
    SuppressionLifted = "SUPPRESSION_LIFTED",
    /// Lifting a suppression needs a reason.
    SuppressionLiftUnexplained = "SUPPRESSION_LIFT_UNEXPLAINED",
    // sequences
    /// The source of a sequence is not YAML.
    SequenceYaml = "SEQUENCE_YAML",
    /// A value of a definition is missing, unknown or of the wrong kind.
    SequenceShape = "SEQUENCE_SHAPE",
    /// Something in a definition is larger than allowed.
    SequenceTooLarge = "SEQUENCE_TOO_LARGE",
    /// A key or step id is not of the form.
    SequenceNameInvalid = "SEQUENCE_NAME_INVALID",
    /// Two steps have the same id.
    SequenceStepDuplicate = "SEQUENCE_STEP_DUPLICATE",
    /// A step goes to one that does not exist.
    SequenceStepUnknown = "SEQUENCE_STEP_UNKNOWN",
    /// No way leads to the step.
    SequenceStepUnreachable = "SEQUENCE_STEP_UNREACHABLE",
    /// A loop would run without ever waiting.
    SequenceLoopWithoutWait = "SEQUENCE_LOOP_WITHOUT_WAIT",
    /// The way does not come to an end.
    SequenceNoEnd = "SEQUENCE_NO_END",
    /// The definition breaks rules.
    SequenceInvalid = "SEQUENCE_INVALID",
    /// The newest version says the same already.
    SequenceUnchanged = "SEQUENCE_UNCHANGED",
    /// The definition belongs to another sequence.
    SequenceKeyChanged = "SEQUENCE_KEY_CHANGED",
    /// What runs through a sequence cannot change.
    SequenceSubjectChanged = "SEQUENCE_SUBJECT_CHANGED",
    /// The sequence's state does not allow it.
    SequenceNotAllowed = "SEQUENCE_NOT_ALLOWED",
    /// A definition names something that does not exist outside of it.
    SequenceReferenceUnknown = "SEQUENCE_REFERENCE_UNKNOWN",
    /// The sequence takes no enrolments now.
    SequenceNotActive = "SEQUENCE_NOT_ACTIVE",
    /// A template is not valid.
    TemplateSyntax = "TEMPLATE_SYNTAX",
    /// A template reads something that does not exist.
    TemplateUndefined = "TEMPLATE_UNDEFINED",
    /// An expression is not valid.
    ExpressionSyntax = "EXPRESSION_SYNTAX",
    /// The values of an expression do not go together.
    ExpressionMismatch = "EXPRESSION_MISMATCH",
    /// Two triggers of a sequence say the same.
    SequenceTriggerDuplicate = "SEQUENCE_TRIGGER_DUPLICATE",
    /// An expression reads a variable, a field or a function that does not exist.
    ExpressionUndefined = "EXPRESSION_UNDEFINED",
    /// An expression has no value for these data.
    ExpressionFailed = "EXPRESSION_FAILED",
    /// A condition gave something other than true or false.
    ExpressionNotBoolean = "EXPRESSION_NOT_BOOLEAN",
    /// Neither a contact nor a lead was named.
    EnrollmentSubjectMissing = "ENROLLMENT_SUBJECT_MISSING",
    /// Leads run through this sequence, and none was named.
    EnrollmentLeadMissing = "ENROLLMENT_LEAD_MISSING",
    /// The lead belongs to another contact.
    EnrollmentContactDiffers = "ENROLLMENT_CONTACT_DIFFERS",
    /// The values given are too large.
    EnrollmentVarsTooLarge = "ENROLLMENT_VARS_TOO_LARGE",
    /// More than 500 subjects at once.
    EnrollmentTooMany = "ENROLLMENT_TOO_MANY",
    /// The subject has a live enrolment in this sequence.
    EnrollmentExists = "ENROLLMENT_EXISTS",
    /// The previous run ended too recently.
    EnrollmentTooSoon = "ENROLLMENT_TOO_SOON",
    /// The entry condition does not hold.
    EnrollmentEntryNotMet = "ENROLLMENT_ENTRY_NOT_MET",
    /// The person may not be written to.
    EnrollmentMayNotWrite = "ENROLLMENT_MAY_NOT_WRITE",
    /// The re-entry key is not a text.
    EnrollmentReentryKeyInvalid = "ENROLLMENT_REENTRY_KEY_INVALID",
    /// The enrolment is over.
    EnrollmentEnded = "ENROLLMENT_ENDED",
    /// The enrolment is paused.
    EnrollmentPaused = "ENROLLMENT_PAUSED",
    /// The enrolment is not paused.
    EnrollmentNotPaused = "ENROLLMENT_NOT_PAUSED",
    /// An enrolment does not pause for this reason.
    EnrollmentPauseReasonInvalid = "ENROLLMENT_PAUSE_REASON_INVALID",
    // accounts and contacts
    /// This is not an e-mail address; the message names the rule.
    EmailInvalid = "EMAIL_INVALID",
    /// This is not a domain; the message names the rule.
    DomainInvalid = "DOMAIN_INVALID",
    /// This is not a phone number; the message names the rule.
    PhoneInvalid = "PHONE_INVALID",
    /// A name needs a letter or a digit.
    NameInvalid = "NAME_INVALID",
    /// This is not a country of ISO 3166-1.
    CountryInvalid = "COUNTRY_INVALID",
    /// This is not a language tag.
    LocaleInvalid = "LOCALE_INVALID",
    /// This is not a tag.
    TagInvalid = "TAG_INVALID",
    /// A record holds no more tags.
    TagsTooMany = "TAGS_TOO_MANY",
    /// This is not a registry number.
    RegistryNumberInvalid = "REGISTRY_NUMBER_INVALID",
    /// This is not an external id.
    ExternalIdInvalid = "EXTERNAL_ID_INVALID",
    /// A text is longer than its field holds.
    TextTooLong = "TEXT_TOO_LONG",
    /// Too many rows for one request.
    RowsTooMany = "ROWS_TOO_MANY",
    /// An account needs a name.
    AccountNameMissing = "ACCOUNT_NAME_MISSING",
    /// An account with this key exists; the message names it.
    AccountDuplicate = "ACCOUNT_DUPLICATE",
    /// The keys belong to different accounts.
    AccountIdentitiesDiffer = "ACCOUNT_IDENTITIES_DIFFER",
    /// Several accounts have this name.
    AccountNameAmbiguous = "ACCOUNT_NAME_AMBIGUOUS",
    /// The account has another id in that system.
    AccountExternalIdDiffers = "ACCOUNT_EXTERNAL_ID_DIFFERS",
    /// A contact needs an e-mail address, an external id or a phone number.
    ContactUnidentified = "CONTACT_UNIDENTIFIED",
    /// A contact with this key exists; the message names it.
    ContactDuplicate = "CONTACT_DUPLICATE",
    /// The keys belong to different contacts.
    ContactIdentitiesDiffer = "CONTACT_IDENTITIES_DIFFER",
    /// Several contacts have this phone number and name.
    ContactPhoneAmbiguous = "CONTACT_PHONE_AMBIGUOUS",
    /// The contact has another id in that system.
    ContactExternalIdDiffers = "CONTACT_EXTERNAL_ID_DIFFERS",
    /// No account has these keys.
    ContactAccountUnknown = "CONTACT_ACCOUNT_UNKNOWN",
    /// Consent needs a source.
    ConsentSourceMissing = "CONSENT_SOURCE_MISSING",
    /// Consent lies ahead.
    ConsentAhead = "CONSENT_AHEAD",
    /// The person withdrew the consent, and no rule gives it again.
    ConsentWithdrawn = "CONSENT_WITHDRAWN",
    // custom fields
    /// There is no custom field with this key.
    CustomFieldUnknown = "CUSTOM_FIELD_UNKNOWN",
    /// The custom field takes no values any more.
    CustomFieldRetired = "CUSTOM_FIELD_RETIRED",
    /// The value is of another kind than its custom field.
    CustomFieldWrongKind = "CUSTOM_FIELD_WRONG_KIND",
    /// The value is not a choice of its custom field.
    CustomFieldUnknownChoice = "CUSTOM_FIELD_UNKNOWN_CHOICE",
    /// A required custom field has no value.
    CustomFieldRequired = "CUSTOM_FIELD_REQUIRED",
    /// This is not a key of a custom field.
    CustomFieldKeyInvalid = "CUSTOM_FIELD_KEY_INVALID",
    /// The entity has a custom field with this key.
    CustomFieldKeyTaken = "CUSTOM_FIELD_KEY_TAKEN",
    /// A custom field needs a label.
    CustomFieldLabelInvalid = "CUSTOM_FIELD_LABEL_INVALID",
    /// The choices do not fit; the message says why.
    CustomFieldChoicesInvalid = "CUSTOM_FIELD_CHOICES_INVALID",
    /// Entity, key and kind of a custom field stay.
    CustomFieldFixed = "CUSTOM_FIELD_FIXED",
    // taxonomies
    /// No active term is written like this; the message names near ones.
    TaxonomyUnknownTerm = "TAXONOMY_UNKNOWN_TERM",
    /// This is not a code of a term.
    TaxonomyCodeInvalid = "TAXONOMY_CODE_INVALID",
    /// A term needs a name in both languages.
    TaxonomyNameInvalid = "TAXONOMY_NAME_INVALID",
    /// This is not an alias.
    TaxonomyAliasInvalid = "TAXONOMY_ALIAS_INVALID",
    /// Another term is written like this.
    TaxonomyAliasTaken = "TAXONOMY_ALIAS_TAKEN",
    /// Taxonomy and code of a term stay.
    TaxonomyTermFixed = "TAXONOMY_TERM_FIXED",
    // dispatch and return: definitions
    /// The calendar cannot be read.
    CalendarUnreadable = "CALENDAR_UNREADABLE",
    /// A span of hours is written 09:00-17:30.
    CalendarHoursInvalid = "CALENDAR_HOURS_INVALID",
    /// The hours of a day overlap.
    CalendarHoursOverlap = "CALENDAR_HOURS_OVERLAP",
    /// A week needs working hours.
    CalendarWithoutHours = "CALENDAR_WITHOUT_HOURS",
    /// A make-up day needs hours.
    CalendarMakeUpWithoutHours = "CALENDAR_MAKE_UP_WITHOUT_HOURS",
    /// A date is there twice.
    CalendarDateTwice = "CALENDAR_DATE_TWICE",
    /// A key is 1 to 60 of a-z, 0-9, _ and -.
    CalendarKeyInvalid = "CALENDAR_KEY_INVALID",
    /// A name has 1 to 200 characters.
    CalendarNameInvalid = "CALENDAR_NAME_INVALID",
    /// A calendar holds at most 1,000 holidays and make-up days.
    CalendarTooManyDays = "CALENDAR_TOO_MANY_DAYS",
    /// A key is 1 to 60 of a-z, 0-9, _ and -.
    PoolKeyInvalid = "POOL_KEY_INVALID",
    /// A name has 1 to 200 characters.
    PoolNameInvalid = "POOL_NAME_INVALID",
    /// A pool needs a member.
    PoolWithoutMembers = "POOL_WITHOUT_MEMBERS",
    /// A pool holds at most 500 members.
    PoolTooManyMembers = "POOL_TOO_MANY_MEMBERS",
    /// A person is in the pool twice.
    PoolMemberTwice = "POOL_MEMBER_TWICE",
    /// A weight is 1 to 100.
    PoolWeightOutOfRange = "POOL_WEIGHT_OUT_OF_RANGE",
    /// A capacity is 1 to 10,000.
    PoolCapacityOutOfRange = "POOL_CAPACITY_OUT_OF_RANGE",
    /// A promise is 1 to 60,000 working minutes.
    PoolMinutesOutOfRange = "POOL_MINUTES_OUT_OF_RANGE",
    /// There are 1 to 20 attempts.
    PoolAttemptsOutOfRange = "POOL_ATTEMPTS_OUT_OF_RANGE",
    /// A cool-down is at most 365 days.
    PoolCooldownOutOfRange = "POOL_COOLDOWN_OUT_OF_RANGE",
    /// The person is not in the pool.
    PoolNotAMember = "POOL_NOT_A_MEMBER",
    /// An absence ends after its beginning, and in the future.
    OutOfOfficeInvalid = "OUT_OF_OFFICE_INVALID",
    /// At most 50 absences can be planned.
    OutOfOfficeTooMany = "OUT_OF_OFFICE_TOO_MANY",
    /// The person is in no pool.
    OutOfOfficeWithoutPool = "OUT_OF_OFFICE_WITHOUT_POOL",
    /// A rule needs a name of its own.
    RoutingRuleNameInvalid = "ROUTING_RULE_NAME_INVALID",
    /// A table holds at most 200 rules.
    RoutingTooManyRules = "ROUTING_TOO_MANY_RULES",
    /// The condition of a rule cannot be read.
    RoutingConditionInvalid = "ROUTING_CONDITION_INVALID",
    /// Sales ops has not saved a routing table yet.
    RoutingTableMissing = "ROUTING_TABLE_MISSING",
    // dispatch and return: opportunities and handoffs
    /// An opportunity needs a name of 1 to 200 characters.
    OpportunityNameInvalid = "OPPORTUNITY_NAME_INVALID",
    /// The amount or its currency cannot be read.
    OpportunityAmountInvalid = "OPPORTUNITY_AMOUNT_INVALID",
    /// A stage has at most 60 characters.
    OpportunityStageInvalid = "OPPORTUNITY_STAGE_INVALID",
    /// The opportunity has ended.
    OpportunityEnded = "OPPORTUNITY_ENDED",
    /// Another SDR verified the lead.
    OpportunityLeadNotYours = "OPPORTUNITY_LEAD_NOT_YOURS",
    /// The state of the handoff does not allow this step.
    HandoffNotAllowed = "HANDOFF_NOT_ALLOWED",
    /// The offer is somebody else's.
    HandoffNotOfferedToYou = "HANDOFF_NOT_OFFERED_TO_YOU",
    /// The work is somebody else's.
    HandoffNotYours = "HANDOFF_NOT_YOURS",
    /// The time to answer is over.
    HandoffOfferRanOut = "HANDOFF_OFFER_RAN_OUT",
    /// The reason cannot be one for this step.
    HandoffReasonNotAllowed = "HANDOFF_REASON_NOT_ALLOWED",
    /// A note has at most 2,000 characters.
    HandoffNoteTooLong = "HANDOFF_NOTE_TOO_LONG",
    /// The person had this opportunity before.
    HandoffAlreadyTried = "HANDOFF_ALREADY_TRIED",
    /// The person returned this opportunity, and the cool-down has not passed.
    HandoffCoolDown = "HANDOFF_COOL_DOWN",
    /// The handoff is in another pool.
    HandoffWrongPool = "HANDOFF_WRONG_POOL",
    /// The pool has no calendar that ever opens.
    HandoffNoClock = "HANDOFF_NO_CLOCK",
    // webhooks
    /// The key of a webhook has another form.
    InboundBadKey = "INBOUND_BAD_KEY",
    /// A webhook needs a name of 1 to 120 characters.
    InboundBadName = "INBOUND_BAD_NAME",
    /// The secret has another form, or could be guessed.
    InboundBadSecret = "INBOUND_BAD_SECRET",
    /// The webhook has its secret: rotate it.
    InboundSecretSet = "INBOUND_SECRET_SET",
    /// The overlap of two secrets is out of range.
    InboundBadOverlap = "INBOUND_BAD_OVERLAP",
    /// An earlier secret is within the time that it was promised.
    InboundSecretOverlap = "INBOUND_SECRET_OVERLAP",
    /// The country of phone numbers is none.
    InboundBadRegion = "INBOUND_BAD_REGION",
    /// The scheme of a webhook stays.
    InboundSchemeFixed = "INBOUND_SCHEME_FIXED",
    /// A webhook has 1 to 10 actions of at most 50 values each.
    InboundBadActions = "INBOUND_BAD_ACTIONS",
    /// The action has no such field.
    InboundFieldUnknown = "INBOUND_FIELD_UNKNOWN",
    /// The action needs a field.
    InboundFieldMissing = "INBOUND_FIELD_MISSING",
    /// An expression cannot be read, or reads what is not there.
    InboundBadExpression = "INBOUND_BAD_EXPRESSION",
    /// The user cannot act for a webhook.
    InboundActorUnfit = "INBOUND_ACTOR_UNFIT",
    /// The delivery was handled already.
    InboundSettled = "INBOUND_SETTLED",
    /// One of two was to be given.
    InboundTryChoice = "INBOUND_TRY_CHOICE",
    /// The key of an outbound webhook has another form.
    OutboundBadKey = "OUTBOUND_BAD_KEY",
    /// An outbound webhook needs a name of 1 to 120 characters.
    OutboundBadName = "OUTBOUND_BAD_NAME",
    /// What the webhook is told is no type of event.
    OutboundBadTypes = "OUTBOUND_BAD_TYPES",
    /// The filter of the webhook cannot be read, or reads what is not there.
    OutboundBadFilter = "OUTBOUND_BAD_FILTER",
    /// Whether a webhook keeps the order of a thing's events stays.
    OutboundOrderFixed = "OUTBOUND_ORDER_FIXED",
    /// The delivery is not in the state for it.
    OutboundSettled = "OUTBOUND_SETTLED",
    /// An earlier secret is within the time that it was promised.
    OutboundSecretOverlap = "OUTBOUND_SECRET_OVERLAP",
    /// The webhook is off.
    OutboundOff = "OUTBOUND_OFF",
    /// Nothing is posted to this address.
    WebhookAddressRefused = "WEBHOOK_ADDRESS_REFUSED",
    /// This is no address to post to.
    WebhookUrlInvalid = "WEBHOOK_URL_INVALID",
    // what steps of sequences send to
    /// The key of a channel has another form.
    ChannelBadKey = "CHANNEL_BAD_KEY",
    /// A channel needs a name of 1 to 120 characters.
    ChannelBadName = "CHANNEL_BAD_NAME",
    /// A new channel needs an address, and one that something can be added to.
    ChannelBadUrl = "CHANNEL_BAD_URL",
    /// What stands behind a channel stays.
    ChannelProviderFixed = "CHANNEL_PROVIDER_FIXED",
    /// The secret does not fit what stands behind the channel.
    ChannelBadSecret = "CHANNEL_BAD_SECRET",
    /// A header is none that a channel can add.
    ChannelBadHeader = "CHANNEL_BAD_HEADER",
    /// Only the secret of a WEBHOOK is made here.
    ChannelSecretNotOurs = "CHANNEL_SECRET_NOT_OURS",
    /// An earlier secret is within the time that it was promised.
    ChannelSecretOverlap = "CHANNEL_SECRET_OVERLAP",
    /// The channel is in that state.
    ChannelAlreadySo = "CHANNEL_ALREADY_SO",
    /// There is no channel with the key that a step names.
    ChannelUnknown = "CHANNEL_UNKNOWN",
    /// A step names a channel that is for steps of another kind.
    ChannelOtherKind = "CHANNEL_OTHER_KIND",
    /// The channel is paused.
    ChannelPaused = "CHANNEL_PAUSED",
    /// A call came to its end.
    CallSettled = "CALL_SETTLED",
    /// This belongs to an earlier try of a call.
    CallStale = "CALL_STALE",
    // events and what people did
    /// The key of a sender of events has another form.
    SourceBadKey = "SOURCE_BAD_KEY",
    /// A sender of events needs a name of 1 to 120 characters.
    SourceBadName = "SOURCE_BAD_NAME",
    /// The system of a sender's user ids has no normal form.
    SourceBadSystem = "SOURCE_BAD_SYSTEM",
    /// The country of phone numbers is none.
    SourceBadRegion = "SOURCE_BAD_REGION",
    /// A sender of events has at most 200 rules, each for another event.
    SourceBadRules = "SOURCE_BAD_RULES",
    /// An earlier write key is within the time that it was promised.
    SourceKeyOverlap = "SOURCE_KEY_OVERLAP",
    /// The overlap of two write keys is out of range.
    SourceBadOverlap = "SOURCE_BAD_OVERLAP",
    /// The user cannot act for a sender of events.
    SourceActorUnfit = "SOURCE_ACTOR_UNFIT",
    /// An interaction needs a name of 1 to 200 characters.
    InteractionBadName = "INTERACTION_BAD_NAME",
    /// An interaction lies ahead.
    InteractionAhead = "INTERACTION_AHEAD",
    /// An interaction takes at most a day.
    InteractionTooLong = "INTERACTION_TOO_LONG",
    /// The address of an interaction is none.
    InteractionBadUrl = "INTERACTION_BAD_URL",
    /// The properties of an interaction are too large.
    InteractionTooLarge = "INTERACTION_TOO_LARGE",
    /// The expression would take too long, or too much memory, over these data.
    ExpressionTooCostly = "EXPRESSION_TOO_COSTLY",
    // how often people are written to, and from where
    /// A policy has at most 20 caps.
    ContactPolicyTooManyCaps = "CONTACT_POLICY_TOO_MANY_CAPS",
    /// A cap allows 1 to 1,000 e-mails.
    ContactPolicyMostInvalid = "CONTACT_POLICY_MOST_INVALID",
    /// The window of a cap is 1 to 2,160 hours.
    ContactPolicyWindowInvalid = "CONTACT_POLICY_WINDOW_INVALID",
    /// There are two caps over the same window.
    ContactPolicyCapTwice = "CONTACT_POLICY_CAP_TWICE",
    /// The address of a mailbox cannot be written from.
    SendingMailboxNotAnAddress = "SENDING_MAILBOX_NOT_AN_ADDRESS",
    /// The name of a mailbox is one line of at most 200 characters.
    SendingMailboxNameInvalid = "SENDING_MAILBOX_NAME_INVALID",
    /// The key of a pool is 1 to 60 of a-z, 0-9, _ and -.
    SendingMailboxPoolInvalid = "SENDING_MAILBOX_POOL_INVALID",
    /// A daily cap is 1 to 100,000 e-mails.
    SendingMailboxDailyCapInvalid = "SENDING_MAILBOX_DAILY_CAP_INVALID",
    /// A ramp-up starts with 1 e-mail to the daily cap, and grows.
    SendingMailboxRampUpInvalid = "SENDING_MAILBOX_RAMP_UP_INVALID",
    /// The interval of a mailbox is 0 to 3,600 seconds.
    SendingMailboxIntervalInvalid = "SENDING_MAILBOX_INTERVAL_INVALID",
    /// The mailbox is in this state already.
    SendingMailboxAlready = "SENDING_MAILBOX_ALREADY",
    /// The round of the mailbox is over.
    SendingMailboxRoundStale = "SENDING_MAILBOX_ROUND_STALE",
    /// The person is in another sequence of the group.
    EnrollmentExcluded = "ENROLLMENT_EXCLUDED",
    /// The sequence names a working calendar that is not there.
    SequenceCalendarUnknown = "SEQUENCE_CALENDAR_UNKNOWN",
    /// The sequence names a pool that no mailbox is in.
    SequencePoolUnknown = "SEQUENCE_POOL_UNKNOWN",
    // templates of e-mails
    /// A definition takes the text of a template that is archived.
    SequenceTemplateArchived = "SEQUENCE_TEMPLATE_ARCHIVED",
    /// The document of a template breaks rules.
    EmailTemplateInvalid = "EMAIL_TEMPLATE_INVALID",
    /// The newest version of the template says the same already.
    EmailTemplateUnchanged = "EMAIL_TEMPLATE_UNCHANGED",
    /// The template is archived.
    EmailTemplateArchived = "EMAIL_TEMPLATE_ARCHIVED",
    /// The template was archived before.
    EmailTemplateArchivedAlready = "EMAIL_TEMPLATE_ARCHIVED_ALREADY",
    /// The newest versions of sequences take the template.
    EmailTemplateInUse = "EMAIL_TEMPLATE_IN_USE",
    /// A reason for archiving a template has 1 to 500 characters.
    EmailTemplateReasonInvalid = "EMAIL_TEMPLATE_REASON_INVALID",
    /// There is no such template, or no such version of it.
    EmailTemplateUnknown = "EMAIL_TEMPLATE_UNKNOWN",
    /// A preview is of a document or of a stored template.
    EmailTemplateChoice = "EMAIL_TEMPLATE_CHOICE",
    /// Somebody published since the version was looked at.
    SequenceNotNewest = "SEQUENCE_NOT_NEWEST",
    // the runner
    /// Calling jobs off needs a reason.
    JobsReason = "JOBS_REASON",
    /// A command changes 1 to 10,000 jobs.
    JobsTooMany = "JOBS_TOO_MANY",
    /// There is no queue of this name.
    JobQueueUnknown = "JOB_QUEUE_UNKNOWN",
    /// A limit is 1 to 1,000,000.
    JobQueueLimit = "JOB_QUEUE_LIMIT",
    /// There is no schedule of this name.
    JobScheduleUnknown = "JOB_SCHEDULE_UNKNOWN",
    // versions of sequences
    /// A pause of a sequence ends in the future.
    SequencePauseOver = "SEQUENCE_PAUSE_OVER",
    /// A backlog is spread over 1 to 30 days.
    SequenceBacklogDaysOutOfRange = "SEQUENCE_BACKLOG_DAYS_OUT_OF_RANGE",
    /// What happens at once takes no days.
    SequenceBacklogDaysUnused = "SEQUENCE_BACKLOG_DAYS_UNUSED",
    /// The newer version does not have a step before which runs stand.
    SequenceMigrationStepGone = "SEQUENCE_MIGRATION_STEP_GONE",
    /// Runs would be led back to what they did before.
    SequenceMigrationRepeats = "SEQUENCE_MIGRATION_REPEATS",
    /// Runs would be led past what they still have before them.
    SequenceMigrationSkips = "SEQUENCE_MIGRATION_SKIPS",
    /// The map names a step that does not exist.
    SequenceMigrationStepUnknown = "SEQUENCE_MIGRATION_STEP_UNKNOWN",
    /// The map says two things of one step.
    SequenceMigrationStepTwice = "SEQUENCE_MIGRATION_STEP_TWICE",
    /// A map has at most 1,000 entries.
    SequenceMigrationMapTooLong = "SEQUENCE_MIGRATION_MAP_TOO_LONG",
    /// A map is for MIGRATE alone.
    SequenceMigrationMapUnused = "SEQUENCE_MIGRATION_MAP_UNUSED",
    /// An entry of a map says either where runs go on or that they end.
    SequenceMigrationEntryInvalid = "SEQUENCE_MIGRATION_ENTRY_INVALID",
    /// Another migration of the sequence is not over.
    SequenceMigrationOpen = "SEQUENCE_MIGRATION_OPEN",
    /// Nobody runs on an older version.
    SequenceMigrationNothing = "SEQUENCE_MIGRATION_NOTHING",
    /// STAY asks nobody to move.
    SequenceMigrationStays = "SEQUENCE_MIGRATION_STAYS",
    /// The migration's state does not allow it.
    SequenceMigrationNotAllowed = "SEQUENCE_MIGRATION_NOT_ALLOWED",
    // experiments
    /// The step does not split its people.
    ExperimentNoSplit = "EXPERIMENT_NO_SPLIT",
    /// There is an open experiment on the step.
    ExperimentExists = "EXPERIMENT_EXISTS",
    /// The experiments of the sequence have another metric.
    ExperimentMetricDiffers = "EXPERIMENT_METRIC_DIFFERS",
    /// What was registered before the start stays.
    ExperimentStarted = "EXPERIMENT_STARTED",
    /// The experiment's state does not allow it.
    ExperimentNotAllowed = "EXPERIMENT_NOT_ALLOWED",
    /// The newest version splits otherwise than was registered.
    ExperimentSplitChanged = "EXPERIMENT_SPLIT_CHANGED",
    /// The experiment has no such variant.
    ExperimentVariantUnknown = "EXPERIMENT_VARIANT_UNKNOWN",
    /// A number of the experiment is out of range.
    ExperimentOutOfRange = "EXPERIMENT_OUT_OF_RANGE",
    /// A text of the experiment is missing or too long.
    ExperimentWordsMissing = "EXPERIMENT_WORDS_MISSING",
    // pauses of enrolments
    /// A pause of an enrolment ends in the future.
    EnrollmentPauseOver = "ENROLLMENT_PAUSE_OVER",
    // expressions
    /// The value of an expression holds the character NUL, which cannot be stored.
    ExpressionNul = "EXPRESSION_NUL",
}
