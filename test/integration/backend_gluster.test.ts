import { backendSuite } from '../harness/backend_suite.ts';
import { Service, whyMissing } from '../services/service.ts';

backendSuite('GlusterFS', whyMissing('gluster'), async () => {
  const gluster = await Service.start('gluster');
  return {
    driver: 'gluster',
    settings: (place) => ({
      host: gluster.value('GLUSTER_HOST'),
      port: gluster.value('GLUSTER_PORT'),
      volume: gluster.value('GLUSTER_VOLUME'),
      directory: `/${place}`,
    }),
    pause: () => gluster.signal('brick0', 'SIGSTOP'),
    goOn: () => gluster.signal('brick0', 'SIGCONT'),
    stop: () => gluster.stop(),
  };
});
