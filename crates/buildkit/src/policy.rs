//! Source policies: what a solve may fetch (BuildKit, `sourcepolicy/pb/policy.proto`).

use crate::proto::policy::{self, MatchType, PolicyAction};

/// An ordered list of rules on source identifiers; the last rule that matches decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    action: PolicyAction,
    pattern: String,
    replacement: Option<String>,
}

impl Policy {
    /// Makes a policy without rules, which allows everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Denies every image that is to come from a registry.
    #[must_use]
    pub fn seal_images() -> Self {
        Self::new().deny("docker-image://*")
    }

    /// Denies every source but the client's own folders and stores: images of registries, HTTP,
    /// HTTPS, git and whatever BuildKit learns later.
    #[must_use]
    pub fn seal_all() -> Self {
        Self::new()
            .deny("*")
            .allow("local://*")
            .allow("oci-layout://*")
    }

    /// Adds a rule that allows sources; `*` in the pattern stands for any text.
    #[must_use]
    pub fn allow(self, pattern: &str) -> Self {
        self.with(PolicyAction::Allow, pattern, None)
    }

    /// Adds a rule that denies sources.
    #[must_use]
    pub fn deny(self, pattern: &str) -> Self {
        self.with(PolicyAction::Deny, pattern, None)
    }

    /// Adds a rule that replaces a source; `${1}` in the replacement stands for what the first
    /// `*` of the pattern took.
    #[must_use]
    pub fn convert(self, pattern: &str, replacement: &str) -> Self {
        self.with(PolicyAction::Convert, pattern, Some(replacement.to_owned()))
    }

    fn with(mut self, action: PolicyAction, pattern: &str, replacement: Option<String>) -> Self {
        let pattern = pattern.to_owned();
        self.rules.push(Rule {
            action,
            pattern,
            replacement,
        });
        self
    }

    /// Writes the policy as the daemon reads it; nothing where there are no rules.
    pub(crate) fn to_proto(&self) -> Option<policy::Policy> {
        let rules = self.rules.iter().map(|rule| policy::Rule {
            action: rule.action.into(),
            selector: Some(policy::Selector {
                identifier: rule.pattern.clone(),
                match_type: MatchType::Wildcard.into(),
                constraints: Vec::new(),
            }),
            updates: rule.replacement.clone().map(|identifier| policy::Update {
                identifier,
                ..policy::Update::default()
            }),
        });
        let rules: Vec<_> = rules.collect();
        (!rules.is_empty()).then_some(policy::Policy { version: 1, rules })
    }
}
