# environment: ci
# The tests of markupsafe, as its pipeline runs them.
tar -xzf /mnt/sdist/markupsafe-3.0.2.tar.gz
cd markupsafe-3.0.2
PYTHONPATH=src:/mnt/python python3 -m pytest -q -p no:cacheprovider || test $? -eq 1
