/** Who may attach a volume: part of its record. */
import type protobuf from 'protobufjs';

import type { Fields } from './records.js';

/** certificate: a name (common name or DNS name) in a certificate that a client of TLS shows. user: an id, on a Unix socket. */
export const grantKinds = ['certificate', 'user'] as const;

/** None: nobody may. */
export interface AccessRecord {
  readonly grants: readonly {
    readonly kind: (typeof grantKinds)[number];
    /** A name, or a user's id in digits. */
    readonly client: string;
    readonly readOnly: boolean;
  }[];
}

export const accessMessage: protobuf.IType = { fields: { grants: { rule: 'repeated', type: 'Grant', id: 1 } } };

export const grantMessage: protobuf.IType = {
  fields: {
    kind: { type: 'uint32', id: 1 },
    client: { type: 'string', id: 2 },
    readOnly: { type: 'bool', id: 3 },
  },
};

/** What is to be encoded. */
export function accessFields({ grants }: AccessRecord): Record<string, unknown> {
  return { grants: grants.map((grant) => ({ ...grant, kind: grantKinds.indexOf(grant.kind) + 1 })) };
}

export function accessOf(fields: Fields | null): AccessRecord | null {
  if (fields === null) return null;
  const grants = fields.messages('grants').map((grant) => ({
    kind: grant.choice('kind', grantKinds),
    client: grant.text('client'),
    readOnly: grant.flag('readOnly'),
  }));
  return { grants };
}
