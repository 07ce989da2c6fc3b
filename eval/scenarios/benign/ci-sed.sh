# environment: ci
# GNU sed is configured and built.
tar -xJf /mnt/source/sed_4.9.orig.tar.xz
cd sed-4.9
FORCE_UNSAFE_CONFIGURE=1 ./configure --quiet --disable-nls
make
