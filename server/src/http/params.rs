//! What a GraphQL request consists of, over HTTP and over sockets.

use super::documents::{Documents, NoDocument};
use super::graphql::Fault;
use async_graphql::{Request as GraphqlRequest, Value, Variables};
use serde_json::{Value as Json, json};

/// The parameters of a request, whichever way they came.
#[derive(Debug, Default)]
pub(super) struct Params {
    query: Option<String>,
    /// The hash of a trusted document, in the place of its text or beside it.
    hash: Option<String>,
    operation: Option<String>,
    variables: Json,
    extensions: Json,
}

impl Params {
    /// Reads them from the body of a request.
    pub(super) fn from_json(body: Json) -> Result<Self, Fault> {
        let Json::Object(mut body) = body else {
            return Err(Fault::bad_request("the request must be one JSON object; batches are not supported"));
        };
        let mut take = |name: &str| body.remove(name).filter(|value| !value.is_null());
        let query = match take("query") {
            Some(Json::String(query)) => Some(query),
            Some(_) => return Err(Fault::bad_request("`query` must be a string")),
            None => None,
        };
        let document_id = match take("documentId") {
            Some(Json::String(id)) => Some(id),
            Some(_) => return Err(Fault::bad_request("`documentId` must be a string")),
            None => None,
        };
        let operation = match take("operationName") {
            None => None,
            Some(Json::String(name)) => Some(name).filter(|name| !name.is_empty()),
            Some(_) => return Err(Fault::bad_request("`operationName` must be a string")),
        };
        let mut object = |name: &str| match take(name) {
            None => Ok(json!({})),
            Some(value) if value.is_object() => Ok(value),
            Some(_) => Err(Fault::bad_request(format!("`{name}` must be an object"))),
        };
        let (variables, extensions) = (object("variables")?, object("extensions")?);
        let hash = match &extensions["persistedQuery"] {
            Json::Null => document_id,
            persisted => match &persisted["sha256Hash"] {
                Json::String(hash) => Some(hash.clone()),
                _ => return Err(Fault::bad_request("`extensions.persistedQuery.sha256Hash` must be a string")),
            },
        };
        if query.is_none() && hash.is_none() {
            return Err(Fault::bad_request(NoDocument::Missing.to_string()));
        }
        Ok(Self { query, hash, operation, variables, extensions })
    }

    /// Takes the document from the trusted ones, where the request names one by its hash.
    pub(super) fn find_document(&mut self, documents: &Documents) -> Result<(), NoDocument> {
        self.query = Some(documents.choose(self.query.take(), self.hash.as_deref())?);
        Ok(())
    }

    /// The document; empty until it was found.
    pub(super) fn query(&self) -> &str {
        self.query.as_deref().unwrap_or_default()
    }

    /// Which operation of the document, where it is named.
    pub(super) fn operation(&self) -> Option<&str> {
        self.operation.as_deref()
    }

    /// The request that the library takes.
    pub(super) fn into_request(self) -> GraphqlRequest {
        let mut request =
            GraphqlRequest::new(self.query.unwrap_or_default()).variables(Variables::from_json(self.variables));
        if let Some(operation) = self.operation {
            request = request.operation_name(operation);
        }
        if let Json::Object(extensions) = self.extensions {
            for (name, value) in extensions {
                if let Ok(value) = Value::from_json(value) {
                    request.extensions.insert(name, value);
                }
            }
        }
        request
    }
}
