// The documents of a page that speaks to Tandem through Relay, for its compiler.
import { graphql } from "relay-runtime";
import type { page_contact$data } from "../__generated__/page_contact.graphql";
import type { pageContactCreateMutation$data } from "../__generated__/pageContactCreateMutation.graphql";
import type { pageQueueSubscription$data } from "../__generated__/pageQueueSubscription.graphql";

// One contact, which is asked for again by its id alone.
graphql`
  fragment page_contact on Contact @refetchable(queryName: "pageContactRefetchQuery") {
    id
    name
    email
  }
`;

// A list that grows page by page.
graphql`
  fragment page_contacts on Query
  @argumentDefinitions(count: { type: "Int!" }, cursor: { type: "String" }, tag: { type: "String!" })
  @refetchable(queryName: "pageContactsPaginationQuery") {
    contacts(first: $count, after: $cursor, filter: { tag: $tag }) @connection(key: "page_contacts") {
      __id
      edges {
        node {
          id
          ...page_contact
        }
      }
    }
  }
`;

graphql`
  query pageContactsQuery($count: Int!, $cursor: String, $tag: String!) {
    ...page_contacts @arguments(count: $count, cursor: $cursor, tag: $tag)
  }
`;

graphql`
  query pageTokensQuery {
    accessTokens(first: 1) {
      nodes {
        id
      }
    }
  }
`;

graphql`
  mutation pageContactCreateMutation($input: ContactCreateInput!, $connections: [ID!]!) {
    contactCreate(input: $input) {
      contact @appendNode(connections: $connections, edgeTypeName: "ContactEdge") {
        id
        ...page_contact
      }
      userErrors {
        field
        message
        code
      }
    }
  }
`;

graphql`
  mutation pageContactChangeMutation($input: ContactChangeInput!) {
    contactChange(input: $input) {
      contact {
        id
        name
      }
      userErrors {
        code
      }
    }
  }
`;

graphql`
  mutation pageTaskCreateMutation($input: TaskCreateInput!) {
    taskCreate(input: $input) {
      workItem {
        id
      }
      userErrors {
        code
      }
    }
  }
`;

graphql`
  subscription pageQueueSubscription {
    workQueueChanged(kind: TASK) {
      id
      title
      state
      createdAt
    }
  }
`;

// What a page does with the types that the compiler made of the schema.

export function named({ name, email }: page_contact$data): string {
  return (name ?? email ?? "somebody").trim();
}

export function toMend({ contactCreate }: pageContactCreateMutation$data): Map<string, string> {
  return new Map(contactCreate.userErrors.map(({ field, message }) => [(field ?? []).join("."), message]));
}

export function since({ workQueueChanged }: pageQueueSubscription$data): Date {
  const { createdAt } = workQueueChanged;
  const text: string = createdAt;
  return new Date(text);
}
