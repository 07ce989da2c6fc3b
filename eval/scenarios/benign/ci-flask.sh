# environment: ci
# The tests of flask, as its pipeline runs them.
tar -xzf /mnt/sdist/flask-3.1.3.tar.gz
cd flask-3.1.3
PYTHONPATH=src:/mnt/python python3 -m pytest -q -p no:cacheprovider || test $? -eq 1
