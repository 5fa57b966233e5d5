# Stands in for the configuration of a Node source tree: without it node-gyp would take over the compiler switches
# of the machine that built the node binary.
{ 'target_defaults': {}, 'variables': {} }
