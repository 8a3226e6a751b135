"""Who is speaking: background model, enrolment, identification, verification."""
