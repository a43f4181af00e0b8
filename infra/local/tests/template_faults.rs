//! A template's mistakes are one sentence each, and its intrinsic functions give what AWS gives.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use local_stack::deployment::Deployment;
use local_stack::template::{Inputs, TemplateError, load};

/// A template file that is removed at the end of a test.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("template-{}.yaml", uuid::Uuid::new_v4()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn load_with(text: &str, parameters: &[(&str, &str)]) -> Result<Deployment, TemplateError> {
    let file = File::new(text);
    let inputs = Inputs {
        stack_name: "stack".into(),
        region: "us-east-1".into(),
        account_id: "000000000000".into(),
        aws_endpoint: "http://aws".into(),
        api_endpoint: "http://api".into(),
        function_url: "http://function/".into(),
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
    };
    load(&file.0, &inputs)
}

/// The sentence of a template's fault, without the file's name.
fn fault(text: &str) -> String {
    fault_with(text, &[])
}

fn fault_with(text: &str, parameters: &[(&str, &str)]) -> String {
    let sentence = load_with(text, parameters).unwrap_err().to_string();
    let (file, rest) = sentence.split_once(".yaml").unwrap_or_else(|| panic!("{sentence}"));
    assert!(file.contains("template-"), "{sentence}");
    assert!(!sentence.contains('\n'), "{sentence}");
    rest.trim_start_matches(':').trim_start().to_owned()
}

/// A template with one secret whose value is `value` (YAML).
fn secret(value: &str) -> String {
    format!(
        "Resources:\n  Other: {{ Type: AWS::SQS::Queue }}\n  It:\n    Type: AWS::SecretsManager::Secret\n    Properties:\n      SecretString: {value}\n"
    )
}

/// What an intrinsic function resolves to.
fn value_of(value: &str, before: &str) -> String {
    let text = format!("{before}\n{}", secret(value));
    let deployment = load_with(&text, &[]).unwrap_or_else(|error| panic!("{error}"));
    deployment.secrets[0].value.clone()
}

#[test]
fn a_file_that_is_absent_or_no_yaml_is_named() {
    let inputs = Inputs::default();
    let error = load(&PathBuf::from("/no/such/template.yaml"), &inputs).unwrap_err();
    assert!(error.to_string().starts_with("/no/such/template.yaml cannot be read: "), "{error}");
    let sentence = fault("Resources:\n  A: {\n");
    assert!(sentence.starts_with("is not valid YAML: "), "{sentence}");
    assert!(sentence.contains("line"), "{sentence}");
    assert_eq!(fault("- a\n- b\n"), "the template must be a mapping of sections");
    assert_eq!(fault("Resources: [1]\n"), "section Resources must be a mapping");
    assert_eq!(fault("Description: nothing\n"), "section Resources holds no resource");
}

#[test]
fn parameters_are_checked_against_their_declarations() {
    let declared = "Parameters:\n  P: { Type: String, AllowedValues: [a, b] }\n";
    let text = format!("{declared}{}", secret("!Ref P"));
    assert_eq!(fault(&text), "parameter P has no Default and was given no value");
    assert_eq!(fault_with(&text, &[("P", "c")]), "parameter P has the value \"c\", which is not one of a, b");
    assert_eq!(fault_with(&text, &[("P", "a"), ("Q", "1")]), "parameter Q was given a value but is not declared");
    assert_eq!(load_with(&text, &[("P", "b")]).unwrap().secrets[0].value, "b");

    let number = |value: &str| {
        let declared = "Parameters:\n  N: { Type: Number, NoEcho: true, MinValue: 30, MaxValue: 720 }\n";
        fault_with(&format!("{declared}{}", secret("!Ref N")), &[("N", value)])
    };
    assert_eq!(number("29"), "parameter N has the value \"****\", which is less than 30");
    assert_eq!(number("721"), "parameter N has the value \"****\", which is more than 720");
    assert_eq!(number("many"), "parameter N has the value \"****\", which is not a number");
}

#[test]
fn a_reference_to_nothing_names_resource_and_property() {
    let place = "resource It, property SecretString:";
    assert_eq!(fault(&secret("!Ref Nothing")), format!("{place} refers to Nothing, which does not exist"));
    assert_eq!(fault(&secret("!Sub \"${Nothing.Arn}\"")), format!("{place} refers to Nothing, which does not exist"));
    assert_eq!(
        fault(&secret("!GetAtt Other.Colour")),
        format!("{place} refers to Other.Colour, an attribute of AWS::SQS::Queue that is not supported")
    );
    assert_eq!(
        fault(&secret("!Ref Other.Alias")),
        format!("{place} refers to Other.Alias, but Other publishes no alias")
    );
    assert_eq!(fault(&secret("!GetAtt Other")), format!("{place} GetAtt must have the form Resource.Attribute"));
    assert_eq!(
        fault("Resources:\n  A: { Type: AWS::SQS::Queue, DependsOn: [B] }\n"),
        "resource A, property DependsOn: refers to B, which does not exist"
    );
    assert_eq!(
        fault("Resources:\n  A: { Type: AWS::SQS::Queue, Properties: { Tags: [{ Key: k, Value: !Ref B }] } }\n"),
        "resource A, property Tags[0].Value: refers to B, which does not exist"
    );
    let conditional = "Conditions:\n  Never: !Equals [a, b]\nResources:\n  A: { Type: AWS::SQS::Queue, Condition: Never }\n  B: { Type: AWS::SecretsManager::Secret, Properties: { SecretString: !Ref A } }\n";
    assert_eq!(
        fault(conditional),
        "resource B, property SecretString: refers to A, which does not exist under its condition"
    );
    assert_eq!(
        fault(
            "Resources:\n  A: { Type: AWS::SecretsManager::Secret, Properties: { Name: !Ref B, SecretString: x } }\n  B: { Type: AWS::SecretsManager::Secret, Properties: { Name: !Ref A, SecretString: x } }\n"
        ),
        "resource A, property Name: is part of a circle of references"
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let place = "resource It, property SecretString:";
    assert_eq!(fault(&secret("!Base64 x")), format!("{place} uses Base64, which is not supported"));
    assert_eq!(fault(&secret("{ \"Fn::Transform\": x }")), format!("{place} uses Transform, which is not supported"));
    assert_eq!(
        fault(&secret("!ImportValue x")),
        format!("{place} uses ImportValue: there is no other stack on this machine to import from")
    );
    assert_eq!(fault(&secret("!Equals [a, b]")), format!("{place} uses Equals outside the section Conditions"));
    assert_eq!(
        fault(&secret("!If [Nothing, a, b]")),
        format!("{place} refers to the condition Nothing, which does not exist")
    );
    assert_eq!(fault(&secret("!Select [2, [a, b]]")), format!("{place} Select has no element 2 of 2"));
    assert_eq!(fault(&secret("!Join [a]")), format!("{place} Join must have a list of 2"));
    assert_eq!(fault(&secret("!Sub \"${open\"")), format!("{place} Sub has a ${{ without its }}"));
    assert_eq!(fault("Resources:\n  A: { Properties: {} }\n"), "resource A has no Type");
    assert_eq!(
        fault("Resources:\n  A: { Type: AWS::SecretsManager::Secret }\n"),
        "resource A, property SecretString: is missing"
    );
    assert_eq!(
        fault("Outputs:\n  O: { Description: none }\nResources:\n  A: { Type: AWS::SQS::Queue }\n"),
        "output O has no Value"
    );
}

#[test]
fn functions_say_what_they_lack() {
    let function = |properties: &str| {
        fault(&format!(
            "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Metadata: {{ BuildProperties: {{ Binary: f }} }}\n    Properties: {properties}\n"
        ))
    };
    assert_eq!(
        fault("Resources:\n  F: { Type: AWS::Serverless::Function }\n"),
        "resource F, property Metadata.BuildProperties: is missing: it names the Binary"
    );
    assert_eq!(function("{ Timeout: soon }"), "resource F, property Timeout: must be a whole number, not \"soon\"");
    assert_eq!(
        function("{ Role: \"arn:aws:iam::1:role/other\" }"),
        "resource F, property Role: is no role of this template"
    );
    assert_eq!(
        function("{ FunctionUrlConfig: { AuthType: AWS_IAM } }"),
        "resource F, property FunctionUrlConfig.AuthType: is AWS_IAM; only NONE is supported"
    );
    assert_eq!(
        function("{ Events: { E: { Type: S3, Properties: {} } } }"),
        "resource F, property Events.E.Type: is S3 for the event E; only SQS and ScheduleV2 are supported"
    );
    assert_eq!(
        function("{ Events: { E: { Type: ScheduleV2, Properties: { ScheduleExpression: cron(0 1 * * ? *) } } } }"),
        "resource F, property Events.E.Properties.ScheduleExpression: is \"cron(0 1 * * ? *)\"; only rate(n minutes|hours|days) is supported"
    );
    assert_eq!(
        function("{ Environment: { Variables: { A: [1] } } }"),
        "resource F, property Environment.Variables.A: must be a single value"
    );
}

#[test]
fn routes_and_queues_say_what_does_not_fit() {
    let route = |properties: &str| {
        fault(&format!("Resources:\n  R: {{ Type: AWS::ApiGatewayV2::Route, Properties: {properties} }}\n"))
    };
    assert_eq!(route("{ RouteKey: everything }"), "resource R, property RouteKey: is \"everything\", not METHOD /path");
    assert_eq!(
        route("{ RouteKey: GET /, Target: integrations/x }"),
        "resource R, property Target: is \"integrations/x\", no integration"
    );
    assert_eq!(
        route("{ RouteKey: GET /, AuthorizationType: AWS_IAM }"),
        "resource R, property AuthorizationType: is AWS_IAM; only JWT and NONE are supported"
    );
    let queue =
        |properties: &str| fault(&format!("Resources:\n  Q: {{ Type: AWS::SQS::Queue, Properties: {properties} }}\n"));
    assert_eq!(
        queue("{ QueueName: q, FifoQueue: true }"),
        "resource Q, property QueueName: is \"q\": the name of a FIFO queue, and no other, ends in .fifo"
    );
    assert_eq!(
        queue("{ RedrivePolicy: { deadLetterTargetArn: other, maxReceiveCount: 5 } }"),
        "resource Q, property RedrivePolicy.deadLetterTargetArn: is \"other\", which is no queue of this template"
    );
}

#[test]
fn intrinsic_functions_give_what_aws_gives() {
    let value = |yaml: &str| value_of(yaml, "");
    assert_eq!(value("!Ref Other"), "http://aws/000000000000/stack-Other");
    assert_eq!(value("!GetAtt Other.Arn"), "arn:aws:sqs:us-east-1:000000000000:stack-Other");
    assert_eq!(value("{ \"Fn::GetAtt\": [Other, QueueName] }"), "stack-Other");
    let published = "Globals:\n  Function: { AutoPublishAlias: live }\n";
    assert_eq!(value_of("!Ref Other.Alias", published), "arn:aws:sqs:us-east-1:000000000000:stack-Other:live");
    assert_eq!(value("!Sub \"${AWS::Region}/${Other.QueueName}/${!literal}/$\""), "us-east-1/stack-Other/${literal}/$");
    assert_eq!(value("!Sub [\"${a}-${AWS::StackName}\", { a: !Ref AWS::AccountId }]"), "000000000000-stack");
    assert_eq!(value("!Join [\",\", [a, !Ref AWS::NoValue, b]]"), "a,b");
    assert_eq!(value("!Select [1, !Split [\"|\", \"a|b|c\"]]"), "b");
    assert_eq!(value("!Select [\"0\", [7, 8]]"), "7");
}

#[test]
fn conditions_maps_and_lists_are_followed() {
    let sections = "Parameters:\n  Stage: { Type: String, Default: prod }\n  Names: { Type: CommaDelimitedList, Default: \"x, y\" }\nMappings:\n  Sizes: { prod: { count: 3 }, dev: { count: 1 } }\nConditions:\n  Prod: !Equals [!Ref Stage, prod]\n  Dev: !Not [!Condition Prod]\n  Both: !And [!Condition Prod, { Condition: Dev }]\n  Either: { \"Fn::Or\": [{ Condition: Prod }, { Condition: Dev }] }\n";
    let value = |yaml: &str| value_of(yaml, sections);
    assert_eq!(value("!If [Prod, yes, no]"), "yes");
    assert_eq!(value("!If [Dev, yes, no]"), "no");
    assert_eq!(value("!If [Both, yes, no]"), "no");
    assert_eq!(value("{ \"Fn::If\": [Either, yes, no] }"), "yes");
    assert_eq!(value("!FindInMap [Sizes, !Ref Stage, count]"), "3");
    assert_eq!(value("!Join [\"-\", !Ref Names]"), "x-y");
    assert_eq!(
        fault(&format!("{sections}{}", secret("!FindInMap [Sizes, test, count]"))),
        "resource It, property SecretString: FindInMap finds no Sizes.test.count"
    );
    let circle = "Conditions:\n  A: !Not [!Condition B]\n  B: !Not [!Condition A]\nResources:\n  Q: { Type: AWS::SQS::Queue, Condition: A }\n";
    assert!(fault(circle).ends_with("is part of a circle of references"));
}
