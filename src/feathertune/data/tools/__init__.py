"""Exports of label tools and chatbots: from their records to rows of a text and its label."""
