/** The settings of a pool on RADOS, and what of librados's own options follows from them. */
import { z } from 'zod';

const absolutePath = z.string().startsWith('/', 'must be an absolute path');

export const radosSettings = z.strictObject({
  conf: absolutePath.default('/etc/ceph/ceph.conf'),
  pool: z.string().min(1),
  user: z
    .string()
    .regex(/^client\../, 'must be a name like client.skerry')
    .default('client.admin'),
  keyring: absolutePath.optional(),
  namespace: z.string().min(1).optional(),
  'timeout-seconds': z
    .string()
    .regex(/^[1-9][0-9]{0,2}$/, 'must be a number of seconds from 1 to 999')
    .default('30')
    .transform(Number),
});

export type RadosSettings = z.output<typeof radosSettings>;

export function clientOptions(settings: RadosSettings): readonly (readonly [name: string, value: string])[] {
  const seconds = String(settings['timeout-seconds']);
  return [
    // Without these a call would wait for ever for a cluster that is gone.
    ['client_mount_timeout', seconds],
    ['rados_mon_op_timeout', seconds],
    ['rados_osd_op_timeout', seconds],
    // Beyond these librados blocks its caller, which is the one thread of JavaScript. How much is under way is bounded above.
    ['objecter_inflight_ops', '1000000'],
    ['objecter_inflight_op_bytes', String(2 ** 40)],
    // Failures are told to who called; a log can be had by `log file` in the configuration.
    ['log_to_stderr', 'false'],
    ['err_to_stderr', 'false'],
    ...(settings.keyring === undefined ? [] : ([['keyring', settings.keyring]] as const)),
  ];
}
