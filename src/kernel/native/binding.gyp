{
  'targets': [
    {
      'target_name': 'bpf',
      'type': 'none',
      'actions': [{
        'action_name': 'bpf',
        'inputs': [
          'bpf.sh',
          'carp.bpf.c',
          'data_path_egress.h',
          'data_path_maps.h',
          'data_path_packet.h',
        ],
        'outputs': [
          '<(SHARED_INTERMEDIATE_DIR)/carp.bpf.o',
          '<(SHARED_INTERMEDIATE_DIR)/libbpf.a',
        ],
        'action': ['sh', 'bpf.sh', '<(SHARED_INTERMEDIATE_DIR)'],
      }],
    },
    {
      'target_name': 'carp',
      'dependencies': ['bpf'],
      'sources': [
        'addon.cc',
        'arguments.cc',
        'bpf_filesystem.cc',
        'bpf_layout.cc',
        'bpf_object.cc',
        'clock.cc',
        'clsact.cc',
        'descriptors.cc',
        'local.cc',
        'netlink.cc',
        'packet_socket.cc',
        'privileges.cc',
        'raw_socket.cc',
        'receiver.cc',
        'recognition.cc',
        'static_libraries.cc',
        'tcx.cc',
        'wire.cc',
      ],
      'include_dirs': [
        '../../../node_modules/node-api-headers/include',
        '../../../node_modules/node-addon-api',
      ],
      'defines': [
        'NAPI_VERSION=9',
        'NODE_ADDON_API_DISABLE_DEPRECATED',
        'NAPI_DISABLE_CPP_EXCEPTIONS',
      ],
      # Where the assembler finds carp.bpf.o.
      'cflags': ['-Wa,-I<(SHARED_INTERMEDIATE_DIR)'],
      'libraries': [
        '<(SHARED_INTERMEDIATE_DIR)/libbpf.a',
        '-l:libelf.a',
        '-l:libz.a',
        # Debian 13's libelf reads compressed sections with it.
        '<!@(test -e "$(cc -print-file-name=libzstd.a)" && echo -l:libzstd.a || true)',
      ],
      'ldflags': ['-Wl,--exclude-libs,ALL'],
    },
    {
      'target_name': 'carp-keeper',
      'type': 'executable',
      'sources': ['keeper.c'],
    },
  ],
}
