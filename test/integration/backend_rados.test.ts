import { backendSuite } from '../harness/backend_suite.ts';
import { Service, whyMissing } from '../services/service.ts';

backendSuite('RADOS', whyMissing('ceph'), async () => {
  const ceph = await Service.start('ceph');
  return {
    driver: 'rados',
    settings: (namespace) => ({
      conf: ceph.value('CEPH_CONF'),
      keyring: ceph.value('CEPH_KEYRING'),
      user: ceph.value('CEPH_USER'),
      pool: ceph.value('CEPH_POOL'),
      namespace,
    }),
    pause: () => ceph.signal('osd0', 'SIGSTOP'),
    goOn: () => ceph.signal('osd0', 'SIGCONT'),
    stop: () => ceph.stop(),
  };
});
