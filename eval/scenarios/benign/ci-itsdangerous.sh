# environment: ci
# The tests of itsdangerous, as its pipeline runs them.
tar -xzf /mnt/sdist/itsdangerous-2.2.0.tar.gz
cd itsdangerous-2.2.0
PYTHONPATH=src:/mnt/python python3 -m pytest -q -p no:cacheprovider || test $? -eq 1
