/** An endpoint with an account for each role of the suite. */
import { S3Endpoint } from '../../harness/s3_endpoint.ts';
import { roles, type JudgedAccount, type JudgedEndpoint, type Role } from './s3_tests_run.ts';

export interface RunningEndpoint extends JudgedEndpoint {
  /** What went wrong in the server itself. */
  readonly complaints: readonly string[];
  stop(): Promise<void>;
}

export async function startInMemory(): Promise<RunningEndpoint> {
  const endpoint = await S3Endpoint.start();
  const accounts = {} as Record<Role, JudgedAccount>;
  for (const role of roles) {
    const name = role.replaceAll(' ', '-');
    const key = await endpoint.account(name);
    const { canonicalId, displayName } = await endpoint.identity.accounts.get(name);
    accounts[role] = { ...key, canonicalId, displayName };
  }
  return {
    address: endpoint.address,
    secure: false,
    region: 'us-east-1',
    accounts,
    complaints: endpoint.complaints,
    stop: () => endpoint.stop(),
  };
}
