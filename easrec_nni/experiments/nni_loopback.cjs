// Loaded into NNI's manager before its own code (NODE_OPTIONS=--require). The manager's REST server can start commands
// and asks nobody for a password, yet NNI 3.0 has no option for the address that it listens on: all of them.
'use strict';

const net = require('net');

const HOST = '127.0.0.1';
const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...args) {
    const [first, second] = args;
    if (first !== null && typeof first === 'object') {
        if ('port' in first && !first.host) {
            args[0] = { ...first, host: HOST };
        }
    } else if (!isNaN(first)) { // a port; a path of a local socket is a word
        if (second === undefined || second === null) {
            args[1] = HOST;
        } else if (typeof second !== 'string') {
            args.splice(1, 0, HOST);
        }
    }
    return listen.apply(this, args);
};

// The web UI's TensorBoard button starts it with the order to listen on all addresses too.
const childProcess = require('child_process');
const spawn = childProcess.spawn;

childProcess.spawn = function (file, args, ...rest) {
    if (file === 'tensorboard' && Array.isArray(args)) {
        args = args.map(word => word.replace('--bind_all', `--host=${HOST}`));
    }
    return spawn.call(this, file, args, ...rest);
};
