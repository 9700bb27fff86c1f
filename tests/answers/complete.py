def complete(start):
    tokens = [BOS] + [uchars.index(ch) for ch in start]
    while len(tokens) <= block_size and BOS not in tokens[1:]:
        logits = model(mx.array([tokens]))[0, -1]
        tokens.append(mx.random.categorical(logits / temperature).item())
    return "".join(uchars[token_id] for token_id in tokens[1:] if token_id != BOS)


print([complete("mar") for _ in range(5)])
