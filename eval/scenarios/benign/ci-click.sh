# environment: ci
# The tests of click, as its pipeline runs them.
tar -xzf /mnt/sdist/click-8.1.8.tar.gz
cd click-8.1.8
PYTHONPATH=src:/mnt/python python3 -m pytest -q -p no:cacheprovider || test $? -eq 1
