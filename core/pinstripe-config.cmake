# find_package(pinstripe)                      pinstripe::pinstripe, shared
# find_package(pinstripe COMPONENTS static)    pinstripe::pinstripe-static too; needs the headers of libcurl, yajl and OpenSSL
include(CMakeFindDependencyMacro)
include(${CMAKE_CURRENT_LIST_DIR}/pinstripe-shared.cmake)
set(pinstripe_shared_FOUND TRUE)

if("static" IN_LIST pinstripe_FIND_COMPONENTS)
  find_dependency(Threads)
  find_dependency(PkgConfig)
  pkg_check_modules(libcurl REQUIRED IMPORTED_TARGET libcurl)
  pkg_check_modules(yajl REQUIRED IMPORTED_TARGET yajl)
  pkg_check_modules(libcrypto REQUIRED IMPORTED_TARGET libcrypto)
  include(${CMAKE_CURRENT_LIST_DIR}/pinstripe-static.cmake)
  set(pinstripe_static_FOUND TRUE)
endif()

foreach(component IN LISTS pinstripe_FIND_COMPONENTS)
  if(pinstripe_FIND_REQUIRED_${component} AND NOT pinstripe_${component}_FOUND)
    set(pinstripe_FOUND FALSE)
    set(pinstripe_NOT_FOUND_MESSAGE "pinstripe has no component \"${component}\": it has shared and static")
  endif()
endforeach()
