# What node-gyp asks of a Node source tree and an addon that uses nothing but Node-API needs: which configurations
# exist, and how their code is compiled. The C headers come from the node-api-headers package.
{
  'variables': { 'target_arch%': '', 'standalone_static_library%': 1 },
  'target_defaults': {
    'default_configuration': 'Release',
    'configurations': {
      'Release': { 'cflags': ['-O2', '-fno-plt'] },
      'Debug': { 'cflags': ['-g', '-O0'] },
    },
    'cflags': ['-pthread', '-Wall', '-Wextra', '-Werror', '-fvisibility=hidden', '-fstack-protector-strong'],
    'cflags_cc': ['-std=c++17'],
    'ldflags': ['-pthread', '-Wl,-z,relro,-z,now'],
  },
}
