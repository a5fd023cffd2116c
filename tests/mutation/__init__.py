"""Mutation testing: do the tests notice when an important line is changed?"""
