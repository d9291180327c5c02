# Completion of `tercet` in bash: the command itself says what there is to complete.
eval "$(tercet help --bash)"
