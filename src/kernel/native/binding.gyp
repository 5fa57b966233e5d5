{
  'targets': [{
    'target_name': 'carp',
    'sources': [
      'addon.cc',
      'clock.cc',
      'local.cc',
      'netlink.cc',
      'packet_socket.cc',
      'raw_socket.cc',
      'receiver.cc',
      'wire.cc',
    ],
    'include_dirs': [
      '../../../node_modules/node-api-headers/include',
      '../../../node_modules/node-addon-api',
    ],
    'defines': ['NAPI_VERSION=9', 'NODE_ADDON_API_DISABLE_DEPRECATED', 'NAPI_DISABLE_CPP_EXCEPTIONS'],
  }],
}
