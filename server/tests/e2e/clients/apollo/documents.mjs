// The documents of a page that speaks to Tandem through Apollo Client.
import { gql } from "@apollo/client";

export const CONTACT = gql`
  query ContactOf($id: ID!) {
    contact(id: $id) {
      id
      name
      email
    }
  }
`;

export const CONTACTS = gql`
  query Contacts($first: Int!, $after: String, $tag: String!) {
    contacts(first: $first, after: $after, filter: { tag: $tag }) {
      edges {
        cursor
        node {
          id
          email
        }
      }
      pageInfo {
        endCursor
        hasNextPage
      }
    }
  }
`;

export const CREATE = gql`
  mutation ContactCreate($input: ContactCreateInput!) {
    contactCreate(input: $input) {
      contact {
        id
        email
      }
      userErrors {
        field
        message
        code
      }
    }
  }
`;

export const CHANGE = gql`
  mutation ContactChange($input: ContactChangeInput!) {
    contactChange(input: $input) {
      contact {
        id
        name
      }
      userErrors {
        field
        message
        code
      }
    }
  }
`;

export const TASK = gql`
  mutation TaskCreate($input: TaskCreateInput!) {
    taskCreate(input: $input) {
      workItem {
        id
      }
      userErrors {
        field
        message
        code
      }
    }
  }
`;

export const QUEUE = gql`
  subscription Queue {
    workQueueChanged(kind: TASK) {
      id
      title
      state
    }
  }
`;
