//! The rules that can be broken, each with what broke it.

fn expanded(text: &str, written: &str) -> String {
    if text == written {
        return String::new();
    }
    format!(" (from {written})")
}

fn meant(suggestion: &Option<String>) -> String {
    suggestion
        .as_ref()
        .map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default()
}

fn because(unset: &str) -> String {
    if unset.is_empty() {
        return String::new();
    }
    format!("; {unset}")
}

fn listed(stages: &[String]) -> String {
    if stages.is_empty() {
        return "no stage has a name".to_owned();
    }
    format!("the stages are {}", stages.join(", "))
}

/// A rule of the Dockerfile's grammar, or of its resolution, that is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// There is nothing in the file.
    #[error("the Dockerfile has no instructions")]
    Empty,
    /// The file is something else.
    #[error("this is {what}, not a Dockerfile{advice}")]
    AnotherFormat {
        /// What it is.
        what: &'static str,
        /// What to do with it.
        advice: &'static str,
    },
    /// A physical line is over BuildKit's limit.
    #[error("a line is longer than 65535 bytes")]
    LineTooLong,
    /// `# escape=` takes a backslash or a backtick only.
    #[error("invalid escape character {value:?}: only \\ and ` can be chosen")]
    Escape {
        /// What was given.
        value: String,
    },
    /// A parser directive stands there twice.
    #[error("the parser directive {name} is given twice")]
    DirectiveTwice {
        /// Its name.
        name: String,
    },
    /// The value of `# check=` is not understood.
    #[error(
        "invalid option {option:?} in the check directive: expected skip=…, experimental=… or error=true|false, separated by ;"
    )]
    Check {
        /// The part at fault.
        option: String,
    },
    /// The keyword is none of a Dockerfile's.
    #[error("unknown instruction: {keyword}{}", meant(.suggestion))]
    UnknownInstruction {
        /// The keyword as written.
        keyword: String,
        /// The nearest known one.
        suggestion: Option<String>,
    },
    /// A heredoc's terminator is missing.
    #[error("the heredoc <<{name} is never closed: no line reads {name}")]
    UnterminatedHeredoc {
        /// The terminator.
        name: String,
    },
    /// A heredoc stands where none can.
    #[error("{keyword} cannot take a heredoc as its destination")]
    HeredocDestination {
        /// The instruction.
        keyword: &'static str,
    },
    /// A JSON array holds something else than strings.
    #[error("the JSON form takes an array of strings only")]
    NotStrings,
    /// The instruction needs the JSON form.
    #[error(
        "{keyword} takes its arguments in JSON form only, such as {keyword} [\"/bin/sh\", \"-c\"]"
    )]
    NotJson {
        /// The instruction.
        keyword: &'static str,
    },
    /// The number of arguments is wrong.
    #[error("{keyword} requires {expected}")]
    Arguments {
        /// The instruction.
        keyword: String,
        /// What it takes.
        expected: &'static str,
    },
    /// `ENV a b c=d`, or a name with no value.
    #[error("{word:?} has no = in it: {keyword} takes name=value pairs")]
    NoEquals {
        /// The instruction.
        keyword: &'static str,
        /// The word.
        word: String,
    },
    /// `ENV =x`.
    #[error("{keyword} names cannot be blank")]
    BlankName {
        /// The instruction.
        keyword: &'static str,
    },
    /// `VOLUME ""`.
    #[error("VOLUME cannot be an empty string")]
    BlankVolume,
    /// An instruction has a flag that it does not know.
    #[error("unknown flag: --{flag}{}", meant(.suggestion))]
    UnknownFlag {
        /// The flag without its dashes.
        flag: String,
        /// The nearest known one.
        suggestion: Option<String>,
    },
    /// A word among the flags is none.
    #[error("{word:?} stands among the flags but does not start with --")]
    NotAFlag {
        /// The word.
        word: String,
    },
    /// A flag that can be given once is there twice.
    #[error("the flag --{flag} is given twice")]
    FlagTwice {
        /// The flag.
        flag: String,
    },
    /// A flag's value is missing.
    #[error("the flag --{flag} needs a value: --{flag}=…")]
    FlagValue {
        /// The flag.
        flag: String,
    },
    /// A flag's value is not one that it takes.
    #[error("invalid value {value:?} for {name}: expected {expected}")]
    Value {
        /// The flag, mount option or argument.
        name: String,
        /// What was given.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// A stage name breaks the rules.
    #[error(
        "invalid stage name {name:?}: it starts with a letter and has letters, digits, - _ and . only"
    )]
    StageName {
        /// The name.
        name: String,
    },
    /// An instruction cannot be a trigger.
    #[error("{keyword} cannot be an ONBUILD trigger")]
    Trigger {
        /// The instruction.
        keyword: String,
    },
    /// An instruction stands before the first FROM.
    #[error("{keyword} stands before the first FROM: only ARG can")]
    NoStage {
        /// The instruction.
        keyword: String,
    },
    /// The type of a HEALTHCHECK is neither CMD nor NONE.
    #[error("unknown type {kind:?} in HEALTHCHECK: expected CMD or NONE")]
    HealthcheckType {
        /// What was given.
        kind: String,
    },
    /// The comma-separated list of a flag cannot be read.
    #[error("the list {list:?} has a quote at a wrong place, or is empty")]
    Csv {
        /// The list.
        list: String,
    },
    /// `from=$X` in a mount, or `COPY --from=$X`.
    #[error(
        "{option} does not expand variables ({value}): name a stage instead, as in `FROM {value} AS name` with an ARG before the first FROM"
    )]
    NotExpanded {
        /// `COPY --from`, `RUN --mount=from`.
        option: &'static str,
        /// What was given.
        value: String,
    },
    /// A mount option is unknown, or needs a value.
    #[error("invalid mount option {field:?}{}", meant(.suggestion))]
    MountOption {
        /// The option with its value.
        field: String,
        /// The nearest known one.
        suggestion: Option<String>,
    },
    /// A mount option does not go with the mount's type.
    #[error("{option} cannot be used with a mount of type {kind}")]
    MountOptionType {
        /// The option.
        option: &'static str,
        /// The type.
        kind: &'static str,
    },
    /// A mount cannot be made as written.
    #[error("invalid mount: {reason}")]
    Mount {
        /// Why.
        reason: &'static str,
    },
    /// A word with quotes or variables cannot be read.
    #[error("cannot expand {word:?}: {reason}")]
    Expansion {
        /// The word.
        word: String,
        /// What is wrong with it, `${x:?message}`'s own words included.
        reason: String,
    },
    /// The values of ARG and ENV add up to more than any process could be given.
    #[error("the values of ARG and ENV are longer than {limit} bytes together")]
    ValuesTooLong {
        /// The limit.
        limit: usize,
    },
    /// The base or the platform of a stage is empty once its variables are expanded.
    #[error("the {what} {text:?} is empty{}", because(.unset))]
    Blank {
        /// `base image` or `platform`.
        what: &'static str,
        /// The text as written.
        text: String,
        /// The variables that have no value, and what to do about them.
        unset: String,
    },
    /// The text is no platform.
    #[error("invalid platform {text:?}{}: {reason}", expanded(.text, .written))]
    Platform {
        /// The text with its variables expanded.
        text: String,
        /// The text as written.
        written: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The text is no image reference.
    #[error("invalid image reference {text:?}{}: {reason}{}", expanded(.text, .written), because(.unset))]
    Reference {
        /// The text with its variables expanded.
        text: String,
        /// The text as written.
        written: String,
        /// What is wrong with it.
        reason: &'static str,
        /// The variables that have no value, and what to do about them.
        unset: String,
    },
    /// There is no FROM.
    #[error("the Dockerfile has no stage: a FROM is missing")]
    NoStages,
    /// The stage asked for is not there.
    #[error("there is no stage {target:?}{}; {}", meant(.suggestion), listed(.stages))]
    Target {
        /// The target asked for.
        target: String,
        /// The nearest stage.
        suggestion: Option<String>,
        /// The named stages, in the order of the file.
        stages: Vec<String>,
    },
    /// `COPY --from=7` where there are fewer stages.
    #[error("there is no stage number {index}")]
    StageIndex {
        /// The number.
        index: i64,
    },
    /// Stages copy from each other.
    #[error("stages take files from each other in a circle: {}", .stages.join(" from "))]
    Cycle {
        /// The circle; the first stage is the last one too.
        stages: Vec<String>,
    },
    /// `COPY --from` or a mount names a stage that comes later, or itself.
    #[error(
        "{keyword} takes from the stage {from:?}, which is not built before this instruction: move it above"
    )]
    StageOrder {
        /// The instruction.
        keyword: &'static str,
        /// The stage.
        from: String,
    },
    /// A COPY takes a URL.
    #[error("COPY cannot fetch {url}: ADD can")]
    CopyUrl {
        /// The source as written.
        url: String,
    },
    /// A named context's value is not understood.
    #[error("invalid build context {name}={value}: {reason}")]
    Context {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An ONBUILD trigger of a base image is more or less than one instruction.
    #[error("the ONBUILD trigger {trigger:?} is not one instruction")]
    TriggerCount {
        /// The trigger.
        trigger: String,
    },
    /// The triggers of base images bring in images without end.
    #[error("the ONBUILD trigger {trigger:?} of a base image asks for images without end")]
    TriggerLoop {
        /// The trigger.
        trigger: String,
    },
    /// `SOURCE_DATE_EPOCH` is neither a time nor something that has one.
    #[error("invalid SOURCE_DATE_EPOCH {value:?}: {reason}")]
    Epoch {
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Cause {
    /// Returns the text at fault, as it stands in the Dockerfile.
    pub(super) fn needle(&self) -> Option<&str> {
        match self {
            Self::UnknownInstruction { keyword: text, .. }
            | Self::Trigger { keyword: text }
            | Self::NoStage { keyword: text }
            | Self::UnterminatedHeredoc { name: text }
            | Self::Escape { value: text }
            | Self::DirectiveTwice { name: text }
            | Self::Check { option: text }
            | Self::NoEquals { word: text, .. }
            | Self::UnknownFlag { flag: text, .. }
            | Self::FlagTwice { flag: text }
            | Self::FlagValue { flag: text }
            | Self::NotAFlag { word: text }
            | Self::CopyUrl { url: text }
            | Self::Value { value: text, .. }
            | Self::StageName { name: text }
            | Self::HealthcheckType { kind: text }
            | Self::Csv { list: text }
            | Self::NotExpanded { value: text, .. }
            | Self::MountOption { field: text, .. }
            | Self::Expansion { word: text, .. }
            | Self::Blank { text, .. }
            | Self::Platform { written: text, .. }
            | Self::Reference { written: text, .. }
            | Self::StageOrder { from: text, .. } => Some(text),
            Self::MountOptionType { option: text, .. } => Some(text),
            _ => None,
        }
    }
}
