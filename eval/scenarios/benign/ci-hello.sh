# environment: ci
# GNU hello is configured, built and tested.
tar -xzf /mnt/source/hello_2.10.orig.tar.gz
cd hello-2.10
./configure --quiet
make
make check
