/** Which clients a volume's list lets in. Without a list everybody who can connect may attach it. */
import type { TlsPeer } from '../../engine/binding.js';
import type { VolumeAccess } from '../../mapper/resources.js';

/** Who is at the other end, as far as it is known. */
export interface Peer {
  /** Id of the user on a Unix socket, as the kernel says; null elsewhere. */
  readonly user: number | null;
  /** After a TLS handshake. */
  readonly tls: TlsPeer | null;
}

export type Right = 'none' | 'read' | 'write';

export function rightOf(peer: Peer, access: VolumeAccess | null): Right {
  if (access === null) return 'write';
  const names = certifiedNames(peer);
  const granted = access.grants.filter(({ kind, client }) =>
    kind === 'user' ? peer.user !== null && client === String(peer.user) : names.has(client) || names.has(client.toLowerCase()),
  );
  if (granted.length === 0) return 'none';
  return granted.some(({ readOnly }) => !readOnly) ? 'write' : 'read';
}

/** For the log. */
export function describePeer(peer: Peer): Readonly<Record<string, unknown>> {
  return {
    ...(peer.user === null ? {} : { user: peer.user }),
    ...(peer.tls === null ? {} : { client: peer.tls.commonName, dnsNames: peer.tls.dnsNames, tls: peer.tls.protocol }),
  };
}

/** The common name counts as it is written; DNS names know no upper case. A pattern such as *.example stands for itself. */
function certifiedNames({ tls }: Peer): ReadonlySet<string> {
  if (tls === null || !tls.certified) return new Set();
  const names = new Set(tls.dnsNames.map((name) => name.toLowerCase()));
  if (tls.commonName !== '') names.add(tls.commonName);
  return names;
}
