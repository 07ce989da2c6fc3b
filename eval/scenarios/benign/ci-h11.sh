# environment: ci
# The tests of h11, as its pipeline runs them.
tar -xzf /mnt/sdist/h11-0.16.0.tar.gz
cd h11-0.16.0
PYTHONPATH=src:/mnt/python python3 -m pytest -q -p no:cacheprovider || test $? -eq 1
