// Loaded into NNI's manager before its own code (NODE_OPTIONS=--require). NNI 3.0 gives its tuner ten seconds to start
// and fails the experiment otherwise; where all cores are at work, Python alone can need as long for its imports.
'use strict';

const IMPATIENT_MS = 10000;
const PATIENT_MS = 120000;
const setTimer = global.setTimeout;

function patient(callback, delay, ...rest) {
    const waitsForTuner = delay === IMPATIENT_MS && String(callback).includes('Tuner did not connect');
    return setTimer(callback, waitsForTuner ? PATIENT_MS : delay, ...rest);
}

// util.promisify(setTimeout) and its like must go on finding what belongs to the function.
global.setTimeout = Object.defineProperties(patient, Object.getOwnPropertyDescriptors(setTimer));
