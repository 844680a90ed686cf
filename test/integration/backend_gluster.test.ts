import { startGluster } from '../harness/backends.ts';
import { backendSuite } from '../harness/backend_suite.ts';
import { whyMissing } from '../services/service.ts';

backendSuite('GlusterFS', whyMissing('gluster'), startGluster);
