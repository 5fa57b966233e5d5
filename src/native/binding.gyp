{
  'targets': [
    {
      'target_name': 'bpf',
      'type': 'none',
      'actions': [{
        'action_name': 'bpf',
        'inputs': [
          'bpf/bpf.sh',
          'bpf/carp.bpf.c',
          'bpf/data_path_egress.h',
          'bpf/data_path_maps.h',
          'bpf/data_path_packet.h',
        ],
        'outputs': [
          '<(SHARED_INTERMEDIATE_DIR)/carp.bpf.o',
          '<(SHARED_INTERMEDIATE_DIR)/libbpf.a',
        ],
        'action': ['sh', 'bpf/bpf.sh', '<(SHARED_INTERMEDIATE_DIR)'],
      }],
    },
    {
      'target_name': 'carp',
      'dependencies': ['bpf'],
      'sources': [
        'addon.cc',
        'bpf/bpf_layout.cc',
        'bpf/bpf_object.cc',
        'bpf/clsact.cc',
        'bpf/other_programs.cc',
        'bpf/static_libraries.cc',
        'bpf/tcx.cc',
        'netlink/netlink.cc',
        'process/clock.cc',
        'process/local.cc',
        'process/memory.cc',
        'process/privileges.cc',
        'process/scheduling.cc',
        'process/tcp_socket.cc',
        'process/unix_socket.cc',
        'sockets/folding.cc',
        'sockets/hmac_prefilter.cc',
        'sockets/hmac_sha1.cc',
        'sockets/neighbour_socket.cc',
        'sockets/packet_socket.cc',
        'sockets/raw_socket.cc',
        'sockets/receiver.cc',
        'sockets/wire.cc',
        'support/arguments.cc',
      ],
      'include_dirs': [
        '.',
        '../../node_modules/node-api-headers/include',
        '../../node_modules/node-addon-api',
      ],
      'defines': [
        'NAPI_VERSION=9',
        'NODE_ADDON_API_DISABLE_DEPRECATED',
        'NAPI_DISABLE_CPP_EXCEPTIONS',
      ],
      # The assembler's path for carp.bpf.o.
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
  ],
}
