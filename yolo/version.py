"""The version of the project, which records and runs keep."""

VERSION = '0.1.0'
