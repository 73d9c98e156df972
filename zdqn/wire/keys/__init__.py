"""Who is let in, and what each may do: key pairs, their folder, and the guard of a server."""
