/** Endpoints with an account for each role of the suite: the server alone, over memory, or the daemon as it is run. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import type { AccountView, NewKeyView } from '../../../src/api/shapes.ts';
import { Authority } from '../../harness/certificates.ts';
import { DaemonProcess } from '../../harness/daemon_process.ts';
import { S3Endpoint } from '../../harness/s3_endpoint.ts';
import { roles, type JudgedAccount, type JudgedEndpoint, type Role } from './s3_tests_run.ts';

export const endpointKinds = ['memory', 'http', 'https'] as const;
export type EndpointKind = (typeof endpointKinds)[number];

export interface RunningEndpoint extends JudgedEndpoint {
  /** What went wrong in the server itself. */
  complaints(): readonly string[];
  stop(): Promise<void>;
}

const region = 'us-east-1';

export async function startEndpoint(kind: EndpointKind): Promise<RunningEndpoint> {
  return kind === 'memory' ? startInMemory() : startDaemon(kind === 'https');
}

async function startInMemory(): Promise<RunningEndpoint> {
  const endpoint = await S3Endpoint.start();
  const accounts = await accountsBy(async (name) => {
    const key = await endpoint.account(name);
    return { ...key, ...(await endpoint.identity.accounts.get(name)) };
  });
  const { address, complaints } = endpoint;
  return { address, secure: false, trusted: null, region, accounts, complaints: () => complaints, stop: () => endpoint.stop() };
}

/** With a certificate of an authority that clients are told of. */
async function startDaemon(secure: boolean): Promise<RunningEndpoint> {
  const daemon = new DaemonProcess();
  const secrets = `${daemon.directory}-tls`;
  const stop = async (): Promise<void> => {
    await daemon.destroy();
    rmSync(secrets, { recursive: true, force: true });
  };
  try {
    const words = ['--s3-listen', '127.0.0.1:0'];
    let trusted: string | null = null;
    if (secure) {
      const authority = await Authority.make(join(secrets), 'Skerry tests');
      const { certificate, key } = await authority.issue('localhost', ['DNS:localhost', 'IP:127.0.0.1']);
      trusted = authority.certificate;
      words.push('--s3-tls-certificate', certificate, '--s3-tls-key', key);
    }
    await daemon.start(words);
    const accounts = await accountsBy(async (name) => {
      const account = await daemon.json<AccountView>('account', 'create', name);
      return { ...account, ...(await daemon.json<NewKeyView>('key', 'create', name)) };
    });
    const complaints = (): string[] => daemon.log.split('\n').filter((line) => line.includes('"level":50'));
    return { address: daemon.ready?.listeners['s3'] ?? '', secure, trusted, region, accounts, complaints, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function accountsBy(make: (name: string) => Promise<JudgedAccount>): Promise<Record<Role, JudgedAccount>> {
  const accounts: [Role, JudgedAccount][] = [];
  for (const role of roles) accounts.push([role, await make(role.replaceAll(' ', '-'))]);
  return Object.fromEntries(accounts) as Record<Role, JudgedAccount>;
}
